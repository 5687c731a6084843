package flow

import (
	"context"
	"encoding/json"
	"time"

	"postroom/server/internal/engine"
	"postroom/server/internal/link"
	"postroom/server/internal/outbox"
	"postroom/server/internal/store"
)

// Process is what a support packet says of this service.
type Process struct {
	Node      string    `json:"node"`
	Version   string    `json:"version"` // the plugin's
	Build     string    `json:"build"`   // a digest of what runs
	Go        string    `json:"go"`
	System    string    `json:"system"` // operating system and architecture
	PID       int       `json:"pid"`
	StartedAt time.Time `json:"started_at"`
	Restarts  int       `json:"restarts"` // by the shim, since the plugin was enabled
	// Log are the newest warnings and errors, oldest first.
	Log []LogLine `json:"log"`
}

// LogLine is a line of the service's log, with its time.
type LogLine struct {
	At time.Time `json:"at"`
	link.LogRecord
}

// Support is what a developer needs to help an admin. It is made from a list of what may be shown, never by leaving
// out what may not: no secret, address, token, link or body is in it (S29).
type Support struct {
	WrittenAt time.Time       `json:"written_at"`
	Process   Process         `json:"process"`
	Core      engine.SelfTest `json:"core"`
	CoreStats engine.Stats    `json:"core_stats"`
	Settings  shownSettings   `json:"settings"`
	// Connections are those that there are, and Postroom's own settings, less what is secret.
	Connections ConnectionList      `json:"connections"`
	Outbox      outbox.Status       `json:"outbox"`
	Queue       store.Queue         `json:"queue"`
	Relay       RelayStatus         `json:"relay"`
	Database    store.DatabaseFacts `json:"database"`
	// Troubled are the newest mails that failed, wait or were perhaps delivered.
	Troubled []store.Mail `json:"troubled"`
	// Missing says what could not be gathered.
	Missing []string `json:"missing"`
}

// shownSettings are those that may be shown.
type shownSettings struct {
	Connection           string     `json:"connection"`
	SiteURL              string     `json:"site_url"`
	DefaultLocale        string     `json:"default_locale"`
	ResetLifetimeMS      int64      `json:"reset_lifetime_ms"`
	VerifyLifetimeMS     int64      `json:"verify_lifetime_ms"`
	LimitAccountPerHour  int        `json:"limit_account_per_hour"`
	LimitClientPerMinute int        `json:"limit_client_per_minute"`
	LimitTotalPerMinute  int        `json:"limit_total_per_minute"`
	UpstreamConnections  int        `json:"upstream_connections"`
	UpstreamPerMinute    int        `json:"upstream_per_minute"`
	RetentionDays        int        `json:"retention_days"`
	AtRestKeySet         bool       `json:"at_rest_key_set"`
	ListenAddress        string     `json:"listen_address"`
	TLS                  bool       `json:"tls"`
	Email                shownEmail `json:"email"`    // as Mattermost has them
	Upstream             shownEmail `json:"upstream"` // where mail goes on to: other than Email while the relay is on
}

// shownEmail are those of Mattermost's EmailSettings that may be shown, by Mattermost's names.
type shownEmail struct {
	SMTPServer                        string
	SMTPPort                          string
	ConnectionSecurity                string
	EnableSMTPAuth                    bool
	SkipServerCertificateVerification bool
	SMTPServerTimeout                 int
	FeedbackEmail                     string
	SendEmailNotifications            bool
	RequireEmailVerification          bool
	EnableEmailBatching               bool
}

// troubledMails is how many mails a packet tells of.
const troubledMails = 50

// Support gathers it. What can't be asked is named in Missing: an admin asks for help when something is broken.
func (f *Flows) Support(ctx context.Context) Support {
	ctx, cancel := context.WithTimeout(ctx, acceptWithin)
	defer cancel()
	in := f.current.Load()
	out := Support{
		WrittenAt: time.Now().UTC(), Process: f.Process(), Core: f.Engine.SelfTest(), CoreStats: f.Engine.Stats(),
		Outbox: f.Outbox.Status(ctx), Relay: f.Switching.Status(ctx, in.saved), Troubled: []store.Mail{}, Missing: []string{},
		Connections: f.connectionList(ctx),
		Settings: shownSettings{
			Connection: in.Connection, SiteURL: in.Site.URL, DefaultLocale: in.Site.DefaultLocale,
			ResetLifetimeMS: in.Site.ResetLifetimeMS, VerifyLifetimeMS: in.Site.VerifyLifetimeMS,
			LimitAccountPerHour: in.LimitAccountPerHour, LimitClientPerMinute: in.LimitClientPerMinute,
			LimitTotalPerMinute: in.LimitTotalPerMinute, UpstreamConnections: in.UpstreamConnections, UpstreamPerMinute: in.UpstreamPerMinute,
			RetentionDays: in.RetentionDays, AtRestKeySet: in.AtRestKey != "", ListenAddress: in.ListenAddress, TLS: in.TLS,
		},
	}
	missing := func(what string, err error) {
		if err != nil {
			out.Missing = append(out.Missing, what)
		}
	}
	missing("settings.email", json.Unmarshal(in.saved, &out.Settings.Email))
	missing("settings.upstream", json.Unmarshal(in.Email, &out.Settings.Upstream))
	var err error
	out.Queue, err = f.Store.Queue(ctx)
	missing("queue", err)
	out.Database, err = f.Store.DatabaseFacts(ctx)
	missing("database", err)
	troubled, err := f.Store.Troubled(ctx, troubledMails)
	missing("troubled", err)
	if len(troubled) > 0 {
		out.Troubled = troubled
	}
	return out
}

// SupportAnswer answers GET /api/v1/support.
func (f *Flows) SupportAnswer(ctx context.Context) (Answer, error) {
	return Answer{JSON: f.Support(ctx), Audit: &link.Audit{Event: "postroomSupport", Success: true}}, nil
}
