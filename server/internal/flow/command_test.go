package flow

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"postroom/server/internal/link"
)

// command is the answer to what an admin typed.
func (s *stage) command(text string) link.CommandReply {
	s.Helper()
	reply, err := s.flows.Command(s.Context(), link.Command{Text: text, UserID: "anna", ChannelID: "town", RequestID: "r"})
	if err != nil {
		s.Fatal(text, err)
	}
	return reply
}

func TestTheCommand(t *testing.T) {
	s := newStage(t)
	aside := make(chan link.Aside, 1)
	s.flows.Aside = func(told link.Aside) { aside <- told }
	raw, err := s.flows.CommandWords(t.Context())
	var words link.CommandWords
	if err := strictly(raw, &words); err != nil || words.Trigger != "postroom" || len(words.Subcommands) < 4 {
		t.Fatalf("%s %v", raw, err)
	}
	if err != nil {
		t.Fatal(err)
	}
	const ids = "0192a7c4-0000-7000-8000-00000000000"
	s.exec(`INSERT INTO postroom.mails (id, kind, class, state, masked_to, locale, message_id, size, expires_at, finished_at, queued_at, reason, sealed)
		SELECT ('` + ids + `' || i)::uuid, 'notification', 'notification', 'failed', 'b***@example.com', '', '', 1, now(), now(), now() - interval '2 minutes', 'no | @all', NULL
		FROM generate_series(1, 2) i`)
	s.exec(`INSERT INTO postroom.incidents (kind, key) VALUES ('connection_paused', 'primary')`)
	for text, want := range map[string]string{
		"/postroom":                              "`/postroom resend [mail]`",
		"/postroom status":                       "**Connection paused** of `primary`",
		"/postroom mails":                        "`" + ids + "2` | `notification` | `b***@example.com` | failed | 2 min | `no ¦ ***@all`",
		"/postroom resend":                       "Which mail?",
		"/postroom resend ffff":                  "No mail's id begins with that",
		"/postroom resend 0192a7c4":              "More than one mail's id",
		"/postroom resend " + ids + "1":          "It is not sent again",
		"/postroom resend 0192a7c4-0000-7000-80": "More than one",
	} {
		if reply := s.command(text); !strings.Contains(reply.Text, want) {
			t.Errorf("%s: %s, want %s", text, reply.Text, want)
		}
	}
	if reply := s.command("/postroom resend " + ids + "2"); reply.Audit == nil || reply.Audit.Event != "postroomResendMail" || reply.Audit.Success || reply.Audit.Params["mail_id"] != ids+"2" {
		t.Errorf("%+v", reply.Audit)
	}
	if reply := s.command("/postroom test"); !strings.Contains(reply.Text, "The result follows") {
		t.Error(reply.Text)
	}
	select { // there is no server
	case told := <-aside:
		if told.UserID != "anna" || told.ChannelID != "town" || !strings.Contains(told.Text, "No mail left") {
			t.Errorf("%+v", told)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("no result of a test")
	}
	s.exec(`ALTER TABLE postroom.mails RENAME TO away`)
	for text, want := range map[string]string{"/postroom mails": "out of reach", "/postroom status": "**Mails**: not known", "/postroom resend 0192": "out of reach"} {
		if reply := s.command(text); !strings.Contains(reply.Text, want) {
			t.Errorf("%s: %s, want %s", text, reply.Text, want)
		}
	}
}

func strictly(raw []byte, into any) error {
	d := json.NewDecoder(strings.NewReader(string(raw)))
	d.DisallowUnknownFields()
	return d.Decode(into)
}
