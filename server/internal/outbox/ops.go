package outbox

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"postroom/server/internal/core"
	"postroom/server/internal/engine"
	"postroom/server/internal/settings"
	"postroom/server/internal/store"
)

// The core's operations that the outbox calls.

const decisionMail = "mail"

func (o *Outbox) prepare(ctx context.Context, now time.Time, args *core.PrepareArgs) (*core.PrepareResult, error) {
	var out core.PrepareResult
	if err := o.engine.Call(ctx, core.OpPrepare, now, args, &out); err != nil {
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

func (o *Outbox) open(ctx context.Context, now time.Time, key, mailID string, sealed []byte) (*core.OpenResult, error) {
	var out core.OpenResult
	err := o.engine.Call(ctx, core.OpOpen, now, core.OpenArgs{Key: key, MailID: mailID, Sealed: sealed}, &out)
	return &out, err
}

func (o *Outbox) judge(ctx context.Context, now time.Time, outcome core.Outcome, lease *store.Lease, over *core.Connection) (*core.JudgeResult, error) {
	var out core.JudgeResult
	var shown *core.ShownConnection
	if over != nil {
		shown = ref(over.Shown())
	}
	err := o.engine.Call(ctx, core.OpJudge, now, core.JudgeArgs{
		Connection: shown, Outcome: outcome, Kind: judgedAs(lease), Attempts: lease.Attempts, ExpiresAt: lease.ExpiresAt.UnixMilli(), Perhaps: lease.Perhaps,
	}, &out)
	return &out, err
}

func (o *Outbox) attend(ctx context.Context, now time.Time, args *core.AttendArgs) (*core.AttendResult, error) {
	var out core.AttendResult
	err := o.engine.Call(ctx, core.OpAttend, now, args, &out)
	return &out, err
}

// reasons are the core's words for what is written without asking it, and none where it can't be asked even once.
func (o *Outbox) reasons(ctx context.Context) *core.Reasons {
	if words := o.words.Load(); words != nil {
		return words
	}
	var words core.Reasons
	if err := o.engine.Call(ctx, core.OpReasons, time.Now(), core.ReasonsArgs{}, &words); err != nil {
		return &core.Reasons{}
	}
	o.words.Store(&words)
	return &words
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
	ways  []*way // of mail, the preferred first
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
	var out core.KeyResult
	err := o.engine.Call(ctx, core.OpKey, time.Now(), core.KeyArgs{Key: in.AtRestKey}, &out)
	if err == nil {
		in.keyID = out.KeyID
	}
	return out.KeyID, err
}
