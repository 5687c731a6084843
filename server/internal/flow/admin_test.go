package flow

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"postroom/server/internal/store"
)

func (s *stage) list(query string) (mails []store.Mail, next *string, status int) {
	s.Helper()
	values, err := url.ParseQuery(query)
	if err != nil {
		s.Fatal(err)
	}
	answer, err := s.flows.Mails(s.Context(), values)
	if err != nil {
		s.Fatal(err)
	}
	if answer.AppError != nil {
		return nil, nil, answer.AppError.Status
	}
	raw, err := json.Marshal(answer.JSON)
	if err != nil {
		s.Fatal(err)
	}
	var page struct {
		Mails []store.Mail
		Next  *string
	}
	if err := json.Unmarshal(raw, &page); err != nil {
		s.Fatal(err)
	}
	return page.Mails, page.Next, 200
}

func TestTheListOfMails(t *testing.T) {
	s := newStage(t)
	// One commit's mails have one time: a page's end loses none of them.
	s.exec(`INSERT INTO postroom.mails (id, kind, class, state, masked_to, locale, message_id, size, expires_at, finished_at, queued_at)
		SELECT gen_random_uuid(), CASE WHEN i % 5 = 0 THEN 'invitation' ELSE 'notification' END, 'notification',
			CASE WHEN i % 2 = 0 THEN 'sent' ELSE 'failed' END, '', '', '', 1, now(), now(), now() FROM generate_series(1, 250) i`)
	for query, want := range map[string]int{"": 250, "state=failed": 125, "kind=invitation&state=sent": 25, "class=account": 0} {
		seen := map[string]bool{}
		for at := query; ; {
			mails, next, status := s.list(at)
			if status != 200 || len(mails) > pageSize {
				t.Fatal(status, len(mails))
			}
			for _, mail := range mails {
				seen[mail.ID] = true
			}
			if next == nil {
				break
			}
			at = query + "&before=" + url.QueryEscape(*next)
		}
		if len(seen) != want {
			t.Errorf("%q lists %d of %d", query, len(seen), want)
		}
	}
	for _, query := range []string{"state=gone", "class=x", "kind=a%27b", "before=yesterday", "state=sent%00"} {
		if _, _, status := s.list(query); status != 400 {
			t.Errorf("%q: %d", query, status)
		}
	}
	if _, _, status := s.list("before=2126-01-02T03:04:05Z"); status != 200 {
		t.Error("a time alone is no cursor any more")
	}
}

// TestAnAdminsHandIsAudited (S33): what was wished of which mail, and what came of it.
func TestAnAdminsHandIsAudited(t *testing.T) {
	s := newStage(t)
	s.token("reset")
	mails, _, _ := s.list("")
	resent, err := s.flows.ResendMail(t.Context(), mails[0].ID)
	if err != nil || resent.AppError != nil || resent.Audit == nil || !resent.Audit.Success || resent.Audit.Event != "postroomResendMail" ||
		resent.Audit.Params["mail_id"] != mails[0].ID || resent.Audit.Params["new_mail_id"] == "" {
		t.Errorf("%+v %+v, %v", resent, resent.Audit, err)
	}
	s.mails(2)
	if raw, _ := json.Marshal(resent.JSON); strings.Contains(string(raw), "token") {
		t.Errorf("the answer shows more than an id: %s", raw)
	}
	refused, err := s.flows.CancelMail(t.Context(), mails[0].ID)
	if err != nil || refused.AppError == nil || refused.AppError.Status != 409 || refused.Audit == nil || refused.Audit.Success {
		t.Errorf("%+v, %v", refused, err)
	}
	for _, id := range []string{"x", "00000000-0000-4000-8000-00000000000f"} {
		if answer, err := s.flows.ResendMail(t.Context(), id); err != nil || answer.AppError == nil || answer.AppError.Status != 404 {
			t.Errorf("%+v, %v", answer, err)
		}
	}
	erased, err := s.flows.EraseAccount(t.Context(), "anna")
	if err != nil || erased.Audit == nil || erased.Audit.Params["mails"] != "2" || erased.Audit.Params["account_id"] != "anna" {
		t.Errorf("%+v, %v", erased.Audit, err)
	}
	if n := s.count(`SELECT (SELECT count(*) FROM postroom.mails) + (SELECT count(*) FROM postroom.tokens)`); n != 0 {
		t.Errorf("%d rows are left", n)
	}
}
