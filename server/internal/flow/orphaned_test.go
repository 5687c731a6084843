package flow

import (
	"strings"
	"testing"
	"time"

	"postroom/server/internal/outbox"
	"postroom/server/internal/settings"
	"postroom/server/internal/store"
)

// orphaned are the mails about a plugin that is gone: locale and body of each, once they are captured.
func (s *stage) orphaned(n int) map[string]string {
	s.Helper()
	found := map[string]string{}
	for waited := time.Now(); len(found) < n && time.Since(waited) < 10*time.Second; time.Sleep(20 * time.Millisecond) {
		mails, err := s.flows.Store.Mails(s.Context(), store.MailFilter{}, 100)
		if err != nil {
			s.Fatal(err)
		}
		for _, mail := range mails {
			if mail.Kind != outbox.KindOrphaned || mail.HeldBy == nil {
				continue
			}
			answer, err := s.flows.Mail(s.Context(), mail.ID)
			if err != nil || answer.Audit == nil {
				s.Fatal(answer, err)
			}
			found[mail.Locale] = strings.NewReplacer("=\r\n", "", "=3D", "=").Replace(bodyOf(s, answer))
		}
	}
	return found
}

func TestTheAdminsAreToldOnceInTheirLanguages(t *testing.T) {
	s, _, _ := switchedOn(t)
	s.exec(`INSERT INTO users (id, username, email, deleteat, emailverified, roles, lastpasswordupdate, locale, authservice) VALUES
		('root', 'root', 'root@example.com', 0, true, 'system_user system_admin', 1, 'en', ''),
		('wurzel', 'wurzel', 'wurzel@example.com', 0, true, 'system_user system_admin', 1, 'de', '')`)
	s.flows.Outbox.Apply(&settings.Snapshot{AtRestKey: s.snapshot.AtRestKey, Site: s.snapshot.Site, Connection: settings.ConnectionCapture})
	since := time.Now().Add(-2 * time.Minute)
	for range 2 {
		if err := s.flows.TellOrphaned(t.Context(), since); err != nil {
			t.Fatal(err)
		}
	}
	mails := s.orphaned(2)
	const command = `printf %s '{"EmailSettings":{"SMTPServer":"smtp.example.com","SMTPPort":"587","ConnectionSecurity":"STARTTLS","EnableSMTPAuth":true,"SMTPUsername":"mm","SMTPPassword":"PASSWORD","SkipServerCertificateVerification":false}}' | mmctl --local config patch /dev/stdin`
	for _, locale := range []string{"en", "de"} {
		if !strings.Contains(mails[locale], command) || strings.Contains(mails[locale], "hunter2") {
			t.Errorf("%s: %s", locale, mails[locale])
		}
	}
	if n := s.count(`SELECT count(*) FROM postroom.mails`); n != 2 {
		t.Errorf("%d mails", n)
	}
}
