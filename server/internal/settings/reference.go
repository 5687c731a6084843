package settings

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode/utf8"

	"postroom/server/internal/core"
)

// What a secret's setting may be instead of the secret.
const (
	byVariable = "env:"
	byFile     = "file:"
)

// mattermosts begins the names of Mattermost's own variables: no mail server is to be told what is in them.
const mattermosts = "MM_"

// largestFile bounds what a reference may name.
const largestFile = 64 << 10

// stamp tells a file from what it was before; the zero value is none that can be read.
type stamp struct {
	modified time.Time
	size     int64
}

func stampOf(path string) stamp {
	info, err := os.Stat(path)
	if err != nil {
		return stamp{}
	}
	return stamp{info.ModTime(), info.Size()}
}

// reader resolves references.
type reader struct {
	variables map[string]string // those that the shim was asked for, by name
	unsaved   bool              // the settings are a form's: a variable that is not known may be there all the same
	files     map[string]stamp  // those looked at
}

// resolve gives what a setting comes to, or why it comes to nothing.
func (r *reader) resolve(value string) (resolved, why string) {
	value = withoutBlanks(value)
	if name, is := strings.CutPrefix(value, byVariable); is {
		name = strings.TrimSpace(name)
		known, set := r.variables[name]
		switch {
		case strings.HasPrefix(strings.ToUpper(name), mattermosts):
			return "", core.MissingForbidden
		case !set && r.unsaved:
			return "", core.MissingUnsaved
		case !set || known == "":
			return "", core.MissingUnset
		}
		return known, ""
	}
	if path, is := strings.CutPrefix(value, byFile); is {
		return r.file(strings.TrimSpace(path))
	}
	return value, ""
}

// withoutBlanks takes the blanks from around a reference; those around a secret may be part of it.
func withoutBlanks(value string) string {
	if trimmed := strings.TrimSpace(value); strings.HasPrefix(trimmed, byVariable) || strings.HasPrefix(trimmed, byFile) {
		return trimmed
	}
	return value
}

// file reads one, less the line end that an editor puts behind its last line.
func (r *reader) file(path string) (content, why string) {
	if !filepath.IsAbs(path) {
		return "", core.MissingNotAbsolute
	}
	r.files[path] = stampOf(path)
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", core.MissingNotFound
	case err != nil:
		return "", core.MissingUnreadable
	case !info.Mode().IsRegular() || info.Size() > largestFile:
		return "", core.MissingTooLarge
	}
	file, err := os.Open(path)
	if err != nil {
		return "", core.MissingUnreadable
	}
	defer func() { _ = file.Close() }()
	raw, err := io.ReadAll(io.LimitReader(file, largestFile+1))
	switch {
	case err != nil:
		return "", core.MissingUnreadable
	case len(raw) > largestFile:
		return "", core.MissingTooLarge
	case !utf8.Valid(raw):
		return "", core.MissingNotText
	}
	return strings.TrimSuffix(strings.TrimSuffix(string(raw), "\n"), "\r"), ""
}
