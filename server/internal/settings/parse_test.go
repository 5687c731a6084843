package settings

import (
	"strings"
	"testing"
)

func check(t *testing.T, plugin string) (*Snapshot, []string) {
	t.Helper()
	snapshot, warnings, err := Parse([]byte(`{"Service":{"SiteURL":"https://chat.example.com","ListenAddress":":8065","ConnectionSecurity":null,
		"MaximumPayloadSizeBytes":300000},"Sql":{"DataSource":"postgres://u:secret@h/d","AtRestEncryptKey":"k"},
		"Email":{"FeedbackEmail":"noreply@example.com","FeedbackName":null},"Team":{"SiteName":"Acme"},"Support":{},
		"Localization":{"DefaultServerLocale":"de"},"Plugin":` + plugin + `}`))
	if err != nil {
		t.Fatal(err)
	}
	return snapshot, warnings
}

func TestDefaults(t *testing.T) {
	s, warnings := check(t, `null`)
	if len(warnings) != 0 || s.LimitAccountPerHour != 5 || s.LimitClientPerMinute != 20 || s.LimitTotalPerMinute != 600 || s.RetentionDays != 30 || s.UpstreamConnections != 50 || s.UpstreamPerMinute != 0 ||
		s.Site.ResetLifetimeMS != 3_600_000 || s.Site.VerifyLifetimeMS != 86_400_000 || s.Connection != ConnectionAuto ||
		s.Site.FromAddress != "noreply@example.com" || s.Site.DefaultLocale != "de" || s.TLS {
		t.Fatalf("%+v %v", s, warnings)
	}
}

func TestPluginSettings(t *testing.T) {
	for plugin, want := range map[string]struct {
		account  int
		warnings string
	}{
		`{"limitaccountperhour": 7}`:     {7, ""},
		`{"limitaccountperhour": "7"}`:   {7, ""},
		`{"limitaccountperhour": 0}`:     {0, ""},
		`{"limitaccountperhour": -1}`:    {5, "LimitAccountPerHour"},
		`{"limitaccountperhour": 1.5}`:   {5, "LimitAccountPerHour"},
		`{"limitaccountperhour": "lot"}`: {5, "LimitAccountPerHour"},
		`{"connection": "carrier"}`:      {5, "Connection"},
		`{"resetlinkminutes": 1}`:        {5, "ResetLinkMinutes"},
	} {
		s, warnings := check(t, plugin)
		if s.LimitAccountPerHour != want.account || (len(warnings) == 0) != (want.warnings == "") || !strings.Contains(strings.Join(warnings, ""), want.warnings) {
			t.Errorf("%s: %d %v", plugin, s.LimitAccountPerHour, warnings)
		}
	}
}

func TestErrorsHoldNoValue(t *testing.T) {
	for _, raw := range []string{`{"Sql":{"DataSource":["hunter2"]}}`, `{"Sql":"hunter2"}`, `hunter2`} {
		if _, _, err := Parse([]byte(raw)); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", raw, err)
		}
	}
}
