package subjects

import (
	"os"
	"path/filepath"
	"testing"
)

func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "i18n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, "i18n", name+".json"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

var files = map[string]string{
	"en": `[{"id": "April", "translation": "April"},
		{"id": "api.templates.reset_subject", "translation": "[{{ .SiteName }}] Reset your password"},
		{"id": "api.templates.verify_subject", "translation": "[{{ .SiteName }}] Email Verification"},
		{"id": "api.templates.invite_subject", "translation": "{{ .SenderName }} invited you"},
		{"id": "api.templates.invite_body.title", "translation": "no subject"},
		{"id": "api.templates.signin_change_email.subject", "translation": "[{{ .SiteName }}] Sign-in"},
		{"id": "app.notification.subject.direct.full", "translation": "[{{.SiteName}}] New Direct Message"},
		{"id": "api.email_batching.send_batched_email_notification.subject", "translation": {"one": "1 new", "other": "many new"}}]`,
	"de": `[{"id": "api.templates.reset_subject", "translation": "[{{ .SiteName }}] Passwort zurücksetzen"},
		{"id": "api.templates.invite_subject", "translation": "{{ .SenderName }} hat eingeladen"},
		{"id": "api.templates.verify_subject", "translation": ""}]`,
	"broken": `[{"id":`,
}

func TestFor(t *testing.T) {
	s := New(folder(t, files))
	check := func(locale, server, kind, want string) {
		t.Helper()
		if got := s.For(locale, server)[kind]; got != want {
			t.Errorf("%q, server %q, %s: %q, want %q", locale, server, kind, got, want)
		}
	}
	for range 2 {
		check("en", "en", "reset", "[{{ .SiteName }}] Reset your password")
		check("de", "en", "reset", "[{{ .SiteName }}] Passwort zurücksetzen")
		check("de", "en", "verify", "[{{ .SiteName }}] Email Verification") // not translated
		check("de", "en", "invite", "{{ .SenderName }} invited you")
		check("en", "de", "invite", "{{ .SenderName }} hat eingeladen")
		check("", "de", "reset", "[{{ .SiteName }}] Passwort zurücksetzen")
		check("de", "", "invite", "{{ .SenderName }} invited you")
		check("xx", "en", "reset", "[{{ .SiteName }}] Reset your password")
		check("", "", "reset", "[{{ .SiteName }}] Reset your password")
		check("en", "en", "signin_change_email", "[{{ .SiteName }}] Sign-in")
		check("en", "en", "notification_direct_full", "[{{.SiteName}}] New Direct Message")
		check("en", "en", "notification_batch_other", "many new")
		check("en", "en", "invite_body.title", "")
		check("broken", "en", "reset", "[{{ .SiteName }}] Reset your password")
	}
	if got := New(filepath.Join(t.TempDir(), "nowhere")).For("en", "en"); len(got) != 0 {
		t.Errorf("without translations: %v", got)
	}
}

func TestALocaleIsNoPath(t *testing.T) {
	dir := folder(t, files)
	if err := os.WriteFile(filepath.Join(dir, "secret.json"), []byte(files["de"]), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, locale := range []string{"../secret", "..", "/etc/passwd", "de/../de", "de\x00", "."} {
		if got := New(dir).For(locale, "en")["reset"]; got != "[{{ .SiteName }}] Reset your password" {
			t.Errorf("%q: %q", locale, got)
		}
	}
}
