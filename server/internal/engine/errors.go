package engine

import (
	"errors"
	"fmt"
	"strings"
)

var (
	// ErrTrapped: the core panicked, ran out of memory or broke the ABI while it worked on this call. Its
	// instance is gone; the next call gets a fresh one. The same input is likely to trap again.
	ErrTrapped = errors.New("the core trapped")
	// ErrDeadline: the core was still at work when Options.Deadline was over, and was stopped.
	ErrDeadline = errors.New("the core exceeded its deadline")
	// ErrEntropy: the operating system's generator gave no, or too few, bytes. Nothing was computed (S4).
	ErrEntropy = errors.New("no entropy for the core")
	// ErrClosed: the engine was closed before the call could start.
	ErrClosed = errors.New("the core's engine is closed")
)

// CoreError is the core's own "err": the host called wrongly, or a configuration cannot work. Codes are listed in
// wasm/README.md. Field names the argument ("site.url"); Detail says what to mend. It never holds a secret.
type CoreError struct {
	Code   string `json:"code"`
	Field  string `json:"field"`
	Detail string `json:"detail"`
}

func (e *CoreError) Error() string {
	parts := []string{e.Code}
	if e.Field != "" {
		parts = append(parts, e.Field)
	}
	if e.Detail != "" {
		parts = append(parts, e.Detail)
	}
	return "core: " + strings.Join(parts, ": ")
}

// ArtefactError says why a core module is refused. The mend is always the same: install a bundle that was built whole.
type ArtefactError struct {
	Reason string
	Err    error // may be nil
}

func (e *ArtefactError) Error() string {
	s := "the core module is refused: " + e.Reason
	if e.Err != nil {
		s += ": " + firstLine(e.Err)
	}
	return s + " (install a complete Postroom bundle)"
}

func (e *ArtefactError) Unwrap() error { return e.Err }

func refused(err error, format string, args ...any) error {
	return &ArtefactError{Reason: fmt.Sprintf(format, args...), Err: err}
}

// firstLine cuts a wazero error before its stack trace.
func firstLine(err error) string {
	s, _, _ := strings.Cut(err.Error(), "\n")
	return s
}
