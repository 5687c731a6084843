package specs

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"postroom/e2e/harness"
)

// told are the posts of the plugin's bot to that user which hold the words, oldest first.
func told(t *testing.T, as *harness.Client, userID, words string) []string {
	t.Helper()
	var bot, channel struct {
		ID string `json:"id"`
	}
	reply := must(house.admin.Do("GET", "/api/v4/users/username/postroom", nil))(t)
	if reply.Status == http.StatusNotFound {
		return nil // the bot is made when it has something to say
	}
	check(t, reply.JSON(&bot))
	check(t, as.Must("POST", "/api/v4/channels/direct", []string{bot.ID, userID}, &channel))
	var list struct {
		Order []string
		Posts map[string]struct {
			UserID  string `json:"user_id"`
			Message string
		}
	}
	check(t, as.Must("GET", "/api/v4/channels/"+channel.ID+"/posts", nil, &list))
	var messages []string
	for _, id := range slices.Backward(list.Order) {
		if post := list.Posts[id]; post.UserID == bot.ID && strings.Contains(post.Message, words) {
			messages = append(messages, post.Message)
		}
	}
	return messages
}

// TestSystemAdminsAreToldOnce: account mail waits, every system admin and the webhook hear of it once, and once when it
// is over; nobody else does. The command tells more, to system admins.
func TestSystemAdminsAreToldOnce(t *testing.T) {
	var mutex sync.Mutex
	var hooked []map[string]string
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var note map[string]string
		if err := json.NewDecoder(r.Body).Decode(&note); err != nil {
			t.Error(err)
		}
		mutex.Lock()
		defer mutex.Unlock()
		hooked = append(hooked, note)
	}))
	defer hook.Close()
	phases := func() (phases []string) {
		mutex.Lock()
		defer mutex.Unlock()
		for _, note := range hooked {
			if note["kind"] == "account_mail_waits" {
				phases = append(phases, note["phase"])
			}
		}
		return phases
	}
	settings := map[string]any{"AlertWebhook": hook.URL + "/hooks/secret"}
	for name, value := range noLimits {
		settings[name] = value
	}
	check(t, house.admin.Settings(settings))
	second, user := person(t), person(t)
	check(t, house.admin.Must("PUT", "/api/v4/users/"+second.ID+"/roles", map[string]string{"roles": "system_user system_admin"}, nil))
	t.Cleanup(func() {
		house.sink.Behave(harness.Behaviour{})
		check(t, house.admin.Settings(noLimits))
		check(t, house.admin.Must("PUT", "/api/v4/users/"+second.ID+"/roles", map[string]string{"roles": "system_user"}, nil))
	})
	settleSettings()
	var first harness.User
	check(t, house.admin.Must("GET", "/api/v4/users/me", nil, &first))
	asSecond := must(house.node.Client.Login(second.Username, harness.Password))(t)
	asUser := must(house.node.Client.Login(user.Username, harness.Password))(t)
	before := len(told(t, house.admin, first.ID, "ccount mail"))

	team := must(house.admin.NewTeam(unique("team")))(t)
	check(t, house.admin.Must("POST", "/api/v4/teams/"+team+"/members", map[string]string{"team_id": team, "user_id": user.ID}, nil))
	var channel struct {
		ID string `json:"id"`
	}
	check(t, house.admin.Must("GET", "/api/v4/teams/"+team+"/channels/name/town-square", nil, &channel))
	command := func(as *harness.Client, text string) string {
		t.Helper()
		var answer struct {
			ResponseType string `json:"response_type"`
			Text         string
		}
		check(t, as.Must("POST", "/api/v4/commands/execute", map[string]string{"team_id": team, "channel_id": channel.ID, "command": text}, &answer))
		if answer.ResponseType != "ephemeral" {
			t.Errorf("%s is answered to everybody: %+v", text, answer)
		}
		return answer.Text
	}

	// The server puts off what it is given, and that began six minutes ago.
	house.sink.Behave(harness.Behaviour{Replies: map[string]string{"MAIL": "451 4.3.0 Later, `@all` <!channel>"}})
	waiting := person(t)
	expectOK(t, must(house.node.Client.RequestReset(waiting.Email))(t))
	waitStates(t, waiting, "deferred")
	check(t, house.postgres.Exec(database, `UPDATE postroom.mails SET queued_at = queued_at - interval '6 minutes' WHERE account_id = $1`, waiting.ID))

	t.Run("autocompletion is a system admin's", func(t *testing.T) {
		for as, want := range map[*harness.Client]int{house.admin: 5, asUser: 0} {
			var suggestions []struct{ Suggestion, Hint, Description string }
			check(t, as.Must("GET", "/api/v4/teams/"+team+"/commands/autocomplete_suggestions?channel_id="+channel.ID+"&user_input="+url.QueryEscape("/postroom "), nil, &suggestions))
			if len(suggestions) != want {
				t.Errorf("%d suggestions, want %d: %+v", len(suggestions), want, suggestions)
			}
		}
	})
	t.Run("a user is refused", func(t *testing.T) {
		for _, text := range []string{"/postroom", "/postroom mails", "/postroom status"} {
			if answer := command(asUser, text); answer != "You do not have the appropriate permissions." {
				t.Errorf("%s: %s", text, answer)
			}
		}
	})
	id := must(house.postgres.Rows(database, "SELECT id::text FROM postroom.mails WHERE account_id = $1", waiting.ID))(t)[0]
	t.Run("the mails", func(t *testing.T) {
		answer := command(house.admin, "/postroom mails")
		if !strings.Contains(answer, "`"+id+"`") || strings.Contains(answer, waiting.Email) || strings.Contains(answer, "<!channel>") || strings.Contains(answer, " @all") {
			t.Error(answer)
		}
		if answer := command(house.admin, "/postroom nonsense"); !strings.Contains(answer, "`/postroom resend [mail]`") {
			t.Error(answer)
		}
	})
	t.Run("both admins are told, and nobody else", func(t *testing.T) {
		check(t, harness.Eventually(time.Minute, func() error {
			if got := phases(); !slices.Equal(got, []string{"open"}) {
				return fmt.Errorf("the webhook was told %v", got)
			}
			if one, two := told(t, house.admin, first.ID, "Account mail waits"), told(t, asSecond, second.ID, "Account mail waits"); len(one) == 0 || len(two) != 1 {
				return fmt.Errorf("told %q and %q", one, two)
			}
			return nil
		}))
		if answer := command(house.admin, "/postroom status"); !strings.Contains(answer, "**Account mail waits**") || !strings.Contains(answer, "`mattermost`") {
			t.Error(answer)
		}
	})
	t.Run("sent again by its id's beginning", func(t *testing.T) {
		house.sink.Behave(harness.Behaviour{})
		if answer := command(house.admin, "/postroom resend "+id[:30]); !strings.Contains(answer, "It is sent again") {
			t.Fatal(answer)
		}
		auditRecord(t, "postroomResendMail", id)
		must(harness.WaitMail(house.sink, waiting.Email, 1, mailWithin))(t)
	})
	t.Run("a test goes to whoever asks", func(t *testing.T) {
		if answer := command(asSecond, "/postroom test"); !strings.Contains(answer, "The result follows") {
			t.Error(answer)
		}
		check(t, harness.Eventually(mailWithin, func() error {
			if mails := must(house.sink.All(second.Email))(t); len(mails) != 1 {
				return fmt.Errorf("%d test mails", len(mails))
			}
			return nil
		}))
	})
	t.Run("and when it is over", func(t *testing.T) {
		check(t, harness.Eventually(time.Minute, func() error {
			check(t, house.postgres.Exec(database, `UPDATE postroom.incidents SET closed_at = closed_at - interval '1 minute', look_at = now()
				WHERE closed_at > now() - interval '1 minute' AND told_closed_at IS NULL`))
			if got := phases(); !slices.Equal(got, []string{"open", "over"}) {
				return fmt.Errorf("the webhook was told %v", got)
			}
			if two := told(t, asSecond, second.ID, "ccount mail"); len(two) != 2 || !strings.Contains(two[1], "moves again") {
				return fmt.Errorf("told %q", two)
			}
			return nil
		}))
		if one := told(t, house.admin, first.ID, "ccount mail"); len(one) != before+2 {
			t.Errorf("the first admin was told %q", one)
		}
		if got := told(t, asUser, user.ID, ""); len(got) != 0 {
			t.Errorf("a user was told %q", got)
		}
	})
}
