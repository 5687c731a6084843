// Package subjects reads how the Mattermost server on this machine words its mails' subjects: its own translations,
// i18n/<locale>.json in the folder that it runs from. Mattermost's mails do not say what they are; by these the core
// tells.
package subjects

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
)

// fallback is the language that Mattermost falls back to, for a locale and for a sentence.
const fallback = "en"

// Subjects are the patterns by locale, each read once: the server ends before they change. Safe for concurrent use.
type Subjects struct {
	dir string

	mu   sync.Mutex
	read map[string]map[string]string
}

// New takes the folder that the Mattermost server runs from.
func New(serverDir string) *Subjects {
	return &Subjects{dir: filepath.Join(serverDir, "i18n"), read: map[string]map[string]string{}}
}

// For gives the patterns, with Go's holes such as {{ .SiteName }}, by kind ("reset", "invite"). What is written to an
// account is in its locale (empty where there is no account); invitations are in the server's. The map is not the
// caller's to change; it is empty where the server's translations are not there.
func (s *Subjects) For(locale, serverLocale string) map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := locale + "\x00" + serverLocale
	if made, ok := s.read[key]; ok {
		return made
	}
	made := map[string]string{}
	if locale == "" {
		locale = serverLocale
	}
	maps.Copy(made, s.patterns(fallback))
	maps.Copy(made, s.patterns(locale))
	for _, from := range []string{fallback, serverLocale} {
		for kind, pattern := range s.patterns(from) {
			if strings.HasPrefix(kind, "invite") {
				made[kind] = pattern
			}
		}
	}
	s.read[key] = made
	return made
}

// localeName is a language tag as Mattermost names its files; nothing else reaches the file system.
var localeName = regexp.MustCompile(`^[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})?$`)

func (s *Subjects) patterns(locale string) map[string]string {
	if !localeName.MatchString(locale) {
		return nil
	}
	text, err := os.ReadFile(filepath.Join(s.dir, locale+".json"))
	if err != nil {
		return nil
	}
	var all []struct {
		ID          string          `json:"id"`
		Translation json.RawMessage `json:"translation"`
	}
	if json.Unmarshal(text, &all) != nil {
		return nil
	}
	patterns := map[string]string{}
	for _, entry := range all {
		kind, ok := kindOf(entry.ID)
		if !ok {
			continue
		}
		var one string
		if json.Unmarshal(entry.Translation, &one) == nil {
			put(patterns, kind, one)
			continue
		}
		var many map[string]string // by plural form
		if json.Unmarshal(entry.Translation, &many) == nil {
			for form, pattern := range many {
				put(patterns, kind+"_"+form, pattern)
			}
		}
	}
	return patterns
}

func put(patterns map[string]string, kind, pattern string) {
	if strings.TrimSpace(pattern) != "" { // not translated yet
		patterns[kind] = pattern
	}
}

// kindOf is what the id of a translation names, where it is a subject's.
func kindOf(id string) (string, bool) {
	if name, ok := strings.CutPrefix(id, "api.templates."); ok {
		if kind, ok := strings.CutSuffix(name, "_subject"); ok {
			return kind, true
		}
		return strings.CutSuffix(name, ".subject")
	}
	if name, ok := strings.CutPrefix(id, "app.notification.subject."); ok {
		return "notification_" + strings.ReplaceAll(name, ".", "_"), true
	}
	if id == "api.email_batching.send_batched_email_notification.subject" {
		return "notification_batch", true
	}
	return "", false
}
