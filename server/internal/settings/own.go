package settings

import (
	"encoding/json"
	"slices"
	"strings"

	"postroom/server/internal/core"
)

// Placeholder stands for a secret that is not shown, as Mattermost's model.FakeSetting does.
const Placeholder = "********************************"

// own are the plugin's settings as text, by their keys.
type own struct {
	values map[string]string
	fixed  []string
}

// ownSettings reads the configuration's, by keys in any case, and puts the environment's over them.
func ownSettings(configured map[string]json.RawMessage, environment map[string]string) own {
	out := own{values: asText(configured), fixed: []string{}}
	for _, key := range Keys {
		if value, set := environment[Variable(key)]; set {
			out.values[key] = value
			out.fixed = append(out.fixed, key)
		}
	}
	return out
}

// asText gives what is set as text, under our spelling of each key.
func asText(settings map[string]json.RawMessage) map[string]string {
	values := map[string]string{}
	for _, key := range Keys {
		for name, raw := range settings {
			if !strings.EqualFold(name, key) || string(raw) == "null" {
				continue
			}
			var text string
			if json.Unmarshal(raw, &text) != nil {
				text = string(raw) // a number, true, or what no setting is
			}
			values[key] = text
		}
	}
	return values
}

// where is the place to mend a setting.
func (o own) where(key string) string {
	if slices.Contains(o.fixed, key) {
		return "the environment variable " + Variable(key) + " of the Mattermost server"
	}
	return "System Console > Plugins > Postroom"
}

// all resolves what refers to something.
func (r *reader) all(values map[string]string) (map[string]string, []core.Missing) {
	resolved, missing := map[string]string{}, []core.Missing{}
	for _, key := range Keys {
		value, set := values[key]
		if !set {
			continue
		}
		if mayRefer(key) {
			var why string
			if value, why = r.resolve(value); why != "" {
				missing = append(missing, core.Missing{Field: key, Why: why})
				continue
			}
		}
		resolved[key] = value
	}
	return resolved, missing
}

// FilesChanged is whether a file that a setting refers to is another than when the snapshot was made.
func (s *Snapshot) FilesChanged() bool {
	for path, before := range s.files {
		if stampOf(path) != before {
			return true
		}
	}
	return false
}

// Shown are the settings less their secrets: a reference is none, and is shown as it is.
func (s *Snapshot) Shown() map[string]string {
	shown := map[string]string{}
	for key, value := range s.Configured {
		if secret(key) && value != "" && !strings.HasPrefix(value, byVariable) && !strings.HasPrefix(value, byFile) {
			value = Placeholder
		}
		shown[key] = value
	}
	return shown
}

// Form is what the core is to be asked about a form of settings that is not saved yet: what the environment sets is as it
// is, and what the form does not have is as saved where it is a secret, else unset.
func (s *Snapshot) Form(form map[string]json.RawMessage) *core.ConnectionsArgs {
	values := asText(form)
	for _, key := range s.Fixed {
		values[key] = s.Configured[key]
	}
	resolving := reader{variables: s.variables, unsaved: true, files: map[string]stamp{}}
	settings, missing := resolving.all(values)
	for _, lost := range s.Missing { // a placeholder for a reference that leads nowhere
		if value, typed := values[lost.Field]; !typed || value == Placeholder {
			missing = append(missing, lost)
		}
	}
	return &core.ConnectionsArgs{Settings: settings, Missing: missing, Saved: s.Own}
}
