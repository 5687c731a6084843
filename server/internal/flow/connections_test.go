package flow

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"postroom/server/internal/settings"
)

// apply has the flows and the outbox take settings up as the shim hands them over.
func (s *stage) apply(plugin, environment string) *settings.Snapshot {
	s.Helper()
	parsed, _, err := settings.Parse([]byte(`{"Service": {"SiteURL": "https://chat.example.com", "ListenAddress": "` + s.snapshot.ListenAddress + `"}, "Sql": {"AtRestEncryptKey": "` + s.snapshot.AtRestKey + `"},
		"Email": {"SMTPServer": "mm.example", "SMTPPort": "25", "FeedbackEmail": "mm@example.com", "FeedbackName": "MM"},
		"Plugin": ` + plugin + `, "Environment": ` + environment + `, "Variables": {"SECRET": "hunter2"}}`))
	if err != nil {
		s.Fatal(err)
	}
	applied := s.flows.Apply(s.Context(), parsed)
	s.flows.Outbox.Apply(applied)
	return applied
}

// TestOwnConnections: which are used, who their mail is from, and that nothing secret is shown of them (S29).
func TestOwnConnections(t *testing.T) {
	s := newStage(t)
	s.flows.Process = func() Process { return Process{} }
	own := s.apply(`{"primaryhost": "a.example", "primaryusername": "u", "primarypassword": "env:SECRET", "fallbackhost": "b.example", "fallbackusername": "v",
		"fromaddress": "own@example.com", "alertwebhook": "https://hooks.example/hunter2"}`, `{"POSTROOM_FALLBACKPASSWORD": "hunter2"}`)
	if own.Site.FromAddress != "own@example.com" || own.Site.FromName != "MM" || !own.UsesOwn() {
		t.Errorf("%+v", own.Site)
	}
	list := s.flows.connectionList(t.Context())
	var names []string
	for _, it := range list.Connections {
		names = append(names, it.Name+" "+it.State)
		if it.Active != (it.Name == "primary") || it.PasswordSet != (it.Name != "mattermost") {
			t.Errorf("%+v", it)
		}
	}
	if !slices.Equal(names, []string{"mattermost unused", "primary ok", "fallback ok"}) || !slices.Equal(list.Fixed, []string{"FallbackPassword"}) {
		t.Error(names, list.Fixed)
	}
	if list.Settings["PrimaryPassword"] != "env:SECRET" || list.Settings["FallbackPassword"] != settings.Placeholder {
		t.Error(list.Settings)
	}
	for what, shown := range map[string]any{"connections": list, "support": s.flows.Support(t.Context())} {
		raw, err := json.Marshal(shown)
		if err != nil || strings.Contains(string(raw), "hunter2") {
			t.Errorf("%s: %v %s", what, err, raw)
		}
	}
	theirs := s.apply(`{"connection": "mattermost", "primaryhost": "a.example", "fromaddress": "own@example.com"}`, `{}`)
	if theirs.Site.FromAddress != "mm@example.com" || theirs.UsesOwn() {
		t.Errorf("%+v", theirs.Site)
	}
	wrong := s.apply(`{"primaryhost": "a.example:587"}`, `{}`)
	list = s.flows.connectionList(t.Context())
	if !wrong.UsesOwn() || len(list.Problems) != 1 || list.Problems[0].Field != "PrimaryHost" {
		t.Errorf("%+v", list)
	}
}
