package specs

import (
	"os"
	"testing"
	"time"

	"postroom/e2e/harness"
)

// What an admin may do to a mail and to what is kept about an account (S25, S26).
func TestAnAdminsHand(t *testing.T) {
	user := person(t)
	_, first := ask(t, user, 1)
	waitStates(t, user, "sent")
	id := must(house.postgres.Rows(database, "SELECT id::text FROM postroom.mails WHERE account_id = $1", user.ID))(t)[0]

	t.Run("sent again, with a new link", func(t *testing.T) {
		var answer struct {
			MailID string `json:"mail_id"`
		}
		check(t, house.admin.Must("POST", harness.Plugin+"/api/v1/mails/"+id+"/resend", nil, &answer))
		if answer.MailID == id || answer.MailID == "" {
			t.Errorf("%+v", answer)
		}
		_, second, err := must(harness.WaitMail(house.sink, user.Email, 2, mailWithin))(t).Link()
		check(t, err)
		if first == second {
			t.Error("the link is the old one")
		}
		if reply := must(house.node.Client.Do("GET", harness.Plugin+"/reset?token="+first, nil))(t); reply.Status == 200 {
			t.Error("the old link lives on")
		}
		auditRecord(t, "postroomResendMail", id, answer.MailID)
		expectOK(t, redeem(t, house.node.Client, second, otherPassword))
	})
	t.Run("a mail that has left can't be cancelled", func(t *testing.T) {
		reply := must(house.admin.Do("POST", harness.Plugin+"/api/v1/mails/"+id+"/cancel", nil))(t)
		if reply.Status != 409 || reply.ErrorID() != "plugin.postroom.not_waiting.app_error" {
			t.Error(reply)
		}
	})
	t.Run("erased", func(t *testing.T) {
		var answer struct {
			Mails int `json:"mails"`
		}
		check(t, house.admin.Must("DELETE", harness.Plugin+"/api/v1/accounts/"+user.ID+"/mails", nil, &answer))
		if answer.Mails < 2 {
			t.Errorf("%+v", answer)
		}
		if rows := must(house.postgres.Rows(database, "SELECT id::text FROM postroom.mails WHERE account_id = $1", user.ID))(t); len(rows) != 0 {
			t.Error(rows)
		}
		auditRecord(t, "postroomEraseAccount", user.ID)
	})
	t.Run("a deactivated account's link dies at once", func(t *testing.T) {
		leaver := person(t)
		ask(t, leaver, 1)
		expectOK(t, must(house.admin.Do("DELETE", "/api/v4/users/"+leaver.ID, nil))(t))
		check(t, harness.Eventually(10*time.Second, func() error {
			rows, err := house.postgres.Rows(database, "SELECT address FROM postroom.tokens WHERE account_id = $1", leaver.ID)
			if err == nil && len(rows) > 0 {
				err = os.ErrExist
			}
			return err
		}))
	})
}
