package outbox

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"time"

	"postroom/server/internal/core"
	"postroom/server/internal/engine"
	"postroom/server/internal/settings"
)

// The core's operations that the outbox calls, with the shapes of wasm/README.md.

type prepareArgs struct {
	Kind        string        `json:"kind"`
	RequestedAt int64         `json:"requested_at"`
	Account     *core.Account `json:"account"`
	Redirect    *string       `json:"redirect"`
	Previous    *previousArgs `json:"previous"`
	Limit       limitArgs     `json:"limit"`
	Site        core.Site     `json:"site"`
	Key         string        `json:"key"`
}

type previousArgs struct {
	RequestedAt int64 `json:"requested_at"`
}

type limitArgs struct {
	PerHour int    `json:"per_hour"`
	TAT     *int64 `json:"tat_ms"`
}

type prepared struct {
	Decision string  `json:"decision"`
	Reason   *string `json:"reason"`
	LimitTAT *int64  `json:"limit_tat_ms"`
	Token    *struct {
		Digest    []byte `json:"digest"`
		Address   string `json:"address"`
		ExpiresAt int64  `json:"expires_at"`
	} `json:"token"`
	Mail *struct {
		ID        string `json:"id"`
		MessageID string `json:"message_id"`
		MaskedTo  string `json:"masked_to"`
		Locale    string `json:"locale"`
		Size      int    `json:"size"`
		Sealed    []byte `json:"sealed"`
		KeyID     string `json:"key_id"`
		ExpiresAt int64  `json:"expires_at"`
	} `json:"mail"`
	Warnings []string `json:"warnings"`
}

const decisionMail = "mail"

func (o *Outbox) prepare(ctx context.Context, now time.Time, args *prepareArgs) (*prepared, error) {
	var out prepared
	if err := o.engine.Call(ctx, "prepare", now, args, &out); err != nil {
		return nil, err
	}
	if out.Decision == decisionMail && (out.Token == nil || out.Mail == nil) {
		return nil, errors.New("the core decides for a mail and gives none")
	}
	for _, warning := range out.Warnings {
		o.notices.warn(ctx, warningText(warning))
	}
	return &out, nil
}

func warningText(warning string) string {
	if warning == "site_url_http" {
		return "ServiceSettings.SiteURL is http: links in mails can be read and changed on their way; use https"
	}
	return "The core warns: " + warning
}

type envelope struct {
	From    string `json:"envelope_from"`
	To      string `json:"envelope_to"`
	Message []byte `json:"message"`
}

func (o *Outbox) open(ctx context.Context, now time.Time, key, mailID string, sealed []byte) (*envelope, error) {
	var out envelope
	err := o.engine.Call(ctx, "open", now, struct {
		Key    string `json:"key"`
		MailID string `json:"mail_id"`
		Sealed []byte `json:"sealed"`
	}{key, mailID, sealed}, &out)
	return &out, err
}

type judgement struct {
	State    string  `json:"state"`
	Next     *int64  `json:"next_attempt_at"`
	Code     *int    `json:"code"`
	Enhanced *string `json:"enhanced"`
	Text     string  `json:"text"`
	Reason   string  `json:"reason"`
}

func (o *Outbox) judge(ctx context.Context, now time.Time, outcome core.Outcome, kind string, attempts int, expiresAt time.Time) (*judgement, error) {
	var out judgement
	err := o.engine.Call(ctx, "judge", now, struct {
		Outcome   core.Outcome `json:"outcome"`
		Kind      string       `json:"kind"`
		Attempts  int          `json:"attempts"`
		ExpiresAt int64        `json:"expires_at"`
	}{outcome, kind, attempts, expiresAt.UnixMilli()}, &out)
	return &out, err
}

// coreCode is the code of the core's own error, "" for any other.
func coreCode(err error) string {
	var refused *engine.CoreError
	if errors.As(err, &refused) {
		return refused.Code
	}
	return ""
}

// current are the settings in force, with what the core makes of them, asked once.
type current struct {
	*settings.Snapshot

	mu    sync.Mutex
	keyID string
	way   *route
}

// siteURL is how the guard compares it.
func siteURL(snapshot *settings.Snapshot) string {
	return strings.TrimRight(strings.TrimSpace(snapshot.Site.URL), "/")
}

// key is the id of the key in force.
func (o *Outbox) key(ctx context.Context, in *current) (string, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.keyID != "" {
		return in.keyID, nil
	}
	var out struct {
		KeyID string `json:"key_id"`
	}
	err := o.engine.Call(ctx, "key", time.Now(), struct {
		Key string `json:"key"`
	}{in.AtRestKey}, &out)
	if err == nil {
		in.keyID = out.KeyID
	}
	return out.KeyID, err
}

// route is where mail goes; connection is nil for capture.
type route struct {
	name       string
	connection *core.Connection
}

var errNoServer = errors.New("the connection is set to Mattermost's own, and EmailSettings.SMTPServer is not set; set it, or choose another connection")

func (o *Outbox) route(ctx context.Context, in *current) (*route, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.way != nil {
		return in.way, nil
	}
	if in.Connection == settings.ConnectionCapture {
		in.way = &route{name: settings.ConnectionCapture}
		return in.way, nil
	}
	email := in.Email
	if len(email) == 0 {
		email = json.RawMessage("{}")
	}
	var out struct {
		Connection *core.Connection `json:"connection"`
	}
	err := o.engine.Call(ctx, "mattermost_connection", time.Now(), struct {
		Settings json.RawMessage `json:"settings"`
	}{email}, &out)
	switch {
	case err != nil:
		return nil, err
	case out.Connection != nil:
		in.way = &route{name: settings.ConnectionMattermost, connection: out.Connection}
	case in.Connection == settings.ConnectionMattermost:
		return nil, errNoServer
	default:
		in.way = &route{name: settings.ConnectionCapture}
	}
	return in.way, nil
}
