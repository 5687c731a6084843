package settings

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"postroom/server/internal/core"
)

// TestKeysAreTheManifests: plugin.json is the settings' home; what is secret there is here, and may refer to a secret's.
func TestKeysAreTheManifests(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join("..", "..", "..", "plugin.json"))
	if err != nil {
		t.Fatal(err)
	}
	var manifest struct {
		Schema struct {
			Sections []struct {
				Settings []struct {
					Key    string
					Secret bool
				}
			}
		} `json:"settings_schema"`
	}
	if err := json.Unmarshal(raw, &manifest); err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, section := range manifest.Schema.Sections {
		for _, setting := range section.Settings {
			keys = append(keys, setting.Key)
			if setting.Secret != secret(setting.Key) {
				t.Errorf("%s is secret: %v", setting.Key, setting.Secret)
			}
		}
	}
	slices.Sort(keys)
	if known := slices.Sorted(slices.Values(Keys)); !slices.Equal(keys, known) {
		t.Errorf("plugin.json has\n%v, known are\n%v", keys, known)
	}
}

// parsed reads the plugin's settings and variables.
func parsed(t *testing.T, plugin, environment, variables string) (*Snapshot, []string) {
	t.Helper()
	s, warnings, err := Parse([]byte(`{"Email": {}, "Plugin": ` + plugin + `, "Environment": ` + environment + `, "Variables": ` + variables + `}`))
	if err != nil {
		t.Fatal(err)
	}
	return s, warnings
}

func TestTheEnvironmentWins(t *testing.T) {
	s, warnings := parsed(t, `{"retentiondays": 10, "primaryhost": "a.example", "primaryport": 2525, "connection": "capture"}`,
		`{"POSTROOM_RETENTIONDAYS": "20", "POSTROOM_PRIMARYHOST": "b.example", "POSTROOM_CONNECTION": "postroom", "POSTROOM_FALLBACKHOST": "", "POSTROOM_RUNTIME_DIR": "/x"}`, `{}`)
	if s.RetentionDays != 20 || s.Connection != ConnectionPostroom || s.Own["PrimaryHost"] != "b.example" || s.Own["PrimaryPort"] != "2525" || len(warnings) != 0 {
		t.Errorf("%+v %v", s, warnings)
	}
	if want := []string{"Connection", "RetentionDays", "PrimaryHost", "FallbackHost"}; !slices.Equal(s.Fixed, want) {
		t.Errorf("fixed are %v", s.Fixed)
	}
	_, warnings = parsed(t, `{}`, `{"POSTROOM_RETENTIONDAYS": "soon"}`, `null`)
	if len(warnings) != 1 || !strings.Contains(warnings[0], "POSTROOM_RETENTIONDAYS") {
		t.Error(warnings)
	}
}

func TestReferences(t *testing.T) {
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := file("good", "from a file\r\n")
	for value, want := range map[string]struct{ resolved, why string }{
		"plain":                           {"plain", ""},
		"env:SMTP_PASSWORD":               {"from a variable", ""},
		"env:EMPTY":                       {"", core.MissingUnset},
		"env:NOT_THERE":                   {"", core.MissingUnset},
		"env:MM_SQLSETTINGS_DATASOURCE":   {"", core.MissingForbidden},
		"file:" + good:                    {"from a file", ""},
		"file: " + good + " ":             {"from a file", ""},
		"file:good":                       {"", core.MissingNotAbsolute},
		"file:" + dir:                     {"", core.MissingTooLarge},
		"file:" + filepath.Join(dir, "x"): {"", core.MissingNotFound},
		"file:" + file("large", strings.Repeat("x", largestFile+1)): {"", core.MissingTooLarge},
		"file:" + file("binary", "\xff\xfe"):                        {"", core.MissingNotText},
		"file:" + file("lines", "a\n\n"):                            {"a\n", ""},
	} {
		plugin, err := json.Marshal(map[string]string{"primarypassword": value, "primaryhost": value})
		if err != nil {
			t.Fatal(err)
		}
		s, _ := parsed(t, string(plugin), `{}`, `{"SMTP_PASSWORD": "from a variable", "EMPTY": "", "MM_SQLSETTINGS_DATASOURCE": "postgres://"}`)
		why := ""
		if len(s.Missing) == 1 && s.Missing[0].Field == "PrimaryPassword" {
			why = s.Missing[0].Why
		}
		if s.Own["PrimaryPassword"] != want.resolved || why != want.why || s.Own["PrimaryHost"] != value {
			t.Errorf("%s: %q %v", value, s.Own["PrimaryPassword"], s.Missing)
		}
	}
}

// TestAFileIsReadAgain when it was replaced, came, or went.
func TestAFileIsReadAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret")
	reads := func(want string) {
		t.Helper()
		s, _ := parsed(t, `{"primarypassword": "file:`+path+`"}`, `{}`, `{}`)
		if s.Own["PrimaryPassword"] != want {
			t.Errorf("%q, want %q", s.Own["PrimaryPassword"], want)
		}
		if s.FilesChanged() {
			t.Error("it has not changed")
		}
		if err := os.WriteFile(path, []byte(want+"+"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, time.Time{}, time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		if !s.FilesChanged() {
			t.Error("it has changed")
		}
	}
	reads("")
	reads("+")
}

func TestWhatIsShown(t *testing.T) {
	s, _ := parsed(t, `{"primarypassword": "hunter2", "primaryclientsecret": "env:NAME", "alertwebhook": "https://x/hunter2", "primaryrefreshtoken": "", "primaryhost": "a.example"}`,
		`{"POSTROOM_FALLBACKPASSWORD": "hunter2"}`, `{"NAME": "hunter2"}`)
	want := map[string]string{"PrimaryPassword": Placeholder, "PrimaryClientSecret": "env:NAME", "AlertWebhook": Placeholder, "PrimaryRefreshToken": "",
		"PrimaryHost": "a.example", "FallbackPassword": Placeholder, "Connection": "auto"}
	if got := s.Shown(); !reflect.DeepEqual(got, want) {
		t.Errorf("%v", got)
	}
}

// TestAFormThatIsNotSaved: placeholders are the core's to fill in, from what is saved.
func TestAFormThatIsNotSaved(t *testing.T) {
	s, _ := parsed(t, `{"primaryhost": "a.example", "primarypassword": "env:GONE", "primaryclientsecret": "s"}`, `{"POSTROOM_PRIMARYPORT": "2525"}`, `{"KNOWN": "k"}`)
	args := s.Form(map[string]json.RawMessage{"PrimaryHost": json.RawMessage(`"b.example"`), "PrimaryPort": json.RawMessage(`25`),
		"PrimaryPassword": json.RawMessage(`"` + Placeholder + `"`), "FallbackPassword": json.RawMessage(`"env:KNOWN"`), "PrimaryRefreshToken": json.RawMessage(`"env:NEW"`)})
	if want := map[string]string{"PrimaryHost": "b.example", "PrimaryPort": "2525", "PrimaryPassword": Placeholder, "FallbackPassword": "k"}; !reflect.DeepEqual(args.Settings, want) {
		t.Errorf("%v", args.Settings)
	}
	want := []core.Missing{{Field: "PrimaryRefreshToken", Why: core.MissingUnsaved}, {Field: "PrimaryPassword", Why: core.MissingUnset}}
	if !reflect.DeepEqual(args.Missing, want) || args.Saved["PrimaryClientSecret"] != "s" {
		t.Errorf("%v %v", args.Missing, args.Saved)
	}
}
