// Package mattermost calls Mattermost's own API on this machine, so that password policy, hashing, sessions and
// audit stay Mattermost's.
package mattermost

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"postroom/server/internal/core"
	"postroom/server/internal/link"
	"postroom/server/internal/settings"
)

const (
	answerWithin = 20 * time.Second
	// largestReply is far over any AppError.
	largestReply = 256 << 10
)

// ErrNotSent is a call that reached nobody, so nothing can have changed.
var ErrNotSent = errors.New("the Mattermost server could not be reached on this machine")

// Local is Mattermost on this machine.
type Local struct {
	base   string
	client *http.Client
}

// New finds the address from the listen address, whether TLS is on it, and the SiteURL's path.
func New(snapshot *settings.Snapshot) (*Local, error) {
	base, err := link.LocalBase(snapshot.ListenAddress, snapshot.TLS, snapshot.Site.URL)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{
		// A certificate names the public host, not 127.0.0.1, and the port is the server's that started us: what
		// could be gained by checking it is nothing, as whoever can take that port reads the server's memory.
		TLSClientConfig:     &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout: 5 * time.Second,
		DialContext:         (&net.Dialer{Timeout: 3 * time.Second}).DialContext,
		// A connection for each call: on one that went stale, "was it received?" would have no answer.
		DisableKeepAlives: true,
		Proxy:             nil, // never by way of HTTP_PROXY
	}
	return &Local{base: base, client: &http.Client{
		Transport: transport, Timeout: answerWithin,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// ResetPassword redeems a token of Mattermost's own (POST /api/v4/users/password/reset).
func (l *Local) ResetPassword(ctx context.Context, token, password string, who Caller) (*core.HTTPReply, error) {
	return l.post(ctx, "/api/v4/users/password/reset", map[string]string{"token": token, "new_password": password}, who)
}

// VerifyEmail redeems a token of Mattermost's own (POST /api/v4/users/email/verify).
func (l *Local) VerifyEmail(ctx context.Context, token string, who Caller) (*core.HTTPReply, error) {
	return l.post(ctx, "/api/v4/users/email/verify", map[string]string{"token": token}, who)
}

// Caller is the person for whom a call is made: the language of Mattermost's words, and the address for its
// audit, which it believes only if it is configured to.
type Caller struct{ Locale, Address string }

func (l *Local) post(ctx context.Context, path string, body any, who Caller) (*core.HTTPReply, error) {
	raw, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, l.base+path, bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept-Language", who.Locale)
	request.Header.Set("X-Forwarded-For", who.Address)
	request.Header.Set("X-Real-Ip", who.Address)
	answer, err := l.client.Do(request)
	if err != nil {
		var dial *net.OpError
		if errors.As(err, &dial) && dial.Op == "dial" {
			return nil, fmt.Errorf("%w: %w", ErrNotSent, err)
		}
		return nil, err
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(answer.Body, largestReply))
	if err != nil {
		return nil, err
	}
	return &core.HTTPReply{Status: answer.StatusCode, Body: text}, nil
}
