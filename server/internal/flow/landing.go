package flow

import (
	"context"
	"errors"
	"time"

	"postroom/server/internal/core"
	"postroom/server/internal/engine"
	"postroom/server/internal/limits"
	"postroom/server/internal/link"
	"postroom/server/internal/mattermost"
	"postroom/server/internal/store"
)

const (
	// claimWithin is how long a second click waits for the first to be decided.
	claimWithin = 5 * time.Second
	// replicaWithin is how long a licensed server's replica may lag behind (mattermost_facts.md, SDK).
	replicaWithin = 5 * time.Second
	pause         = 100 * time.Millisecond
	// redeemWithin is over the longest redemption and under a claim's 60 s.
	redeemWithin = 45 * time.Second
)

// ShowLanding answers a link that was opened. It changes nothing (S18).
func (f *Flows) ShowLanding(ctx context.Context, purpose, token string, asker Asker) (Answer, error) {
	guesses, allowed, err := f.mayGuess(ctx, asker)
	if err != nil {
		return Answer{}, err
	}
	if !allowed {
		return f.page(ctx, "too_many", asker)
	}
	var digest core.DigestTokenResult
	found := store.Found{Now: time.Now()}
	err = f.Engine.Call(ctx, core.OpDigestToken, found.Now, core.DigestTokenArgs{Token: token}, &digest)
	var wrong *engine.CoreError
	switch {
	case err == nil:
		if found, err = f.Store.Look(ctx, purpose, digest.Digest); err != nil {
			f.Log.Error("a link could not be looked up", "error", err)
			return f.page(ctx, "unavailable", asker)
		}
	case !errors.As(err, &wrong) || wrong.Code != "invalid_token":
		return Answer{}, err
	}
	if found.Row == nil {
		if _, err := f.Limits.Pass(ctx, time.Now(), guesses); err != nil {
			return Answer{}, err
		}
	}
	return f.landing(ctx, purpose, token, found, asker)
}

// mayGuess is S14: a client that named too many unknown tokens is not answered for a while.
func (f *Flows) mayGuess(ctx context.Context, asker Asker) (limits.Rule, bool, error) {
	var client core.ClientKeyResult
	now := time.Now()
	if err := f.Engine.Call(ctx, core.OpClientKey, now, core.ClientKeyArgs{ClientAddress: asker.Address}, &client); err != nil {
		return limits.Rule{}, false, err
	}
	rule := limits.Rule{Key: "guess " + client.ClientKey, PerWindow: f.current.Load().LimitClientPerMinute, Window: time.Minute}
	allowed, err := f.Limits.Peek(ctx, now, rule)
	return rule, allowed, err
}

func (f *Flows) landing(ctx context.Context, purpose, token string, found store.Found, asker Asker) (Answer, error) {
	var landing core.ShowLandingResult
	err := f.Engine.Call(ctx, core.OpShowLanding, found.Now, core.LandingArgs{
		Purpose: purpose, Token: token, Row: found.Row, Account: found.Account,
		Site: f.current.Load().Site, AcceptLanguage: asker.AcceptLanguage,
	}, &landing)
	return Answer{Page: &landing.Page}, err
}

// Redeem answers a landing page that was posted: claim, check, an inner token for the length of one call to
// Mattermost, and what came of it.
func (f *Flows) Redeem(ctx context.Context, purpose string, input Input, asker Asker) (Answer, error) {
	// From here on a person who leaves changes nothing: what is claimed is brought to its end.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), redeemWithin)
	defer cancel()
	guesses, allowed, err := f.mayGuess(ctx, asker)
	if err != nil {
		return Answer{}, err
	}
	if !allowed {
		return f.page(ctx, "too_many", asker)
	}
	current := f.current.Load()
	var read core.ReadFormResult
	err = f.Engine.Call(ctx, core.OpReadForm, time.Now(), core.ReadFormArgs{
		Purpose: purpose, Body: input.Body, TooLarge: input.TooLarge, Site: current.Site, AcceptLanguage: asker.AcceptLanguage,
	}, &read)
	if err != nil || read.Page != nil {
		return Answer{Page: read.Page}, err
	}
	claim, found, err := f.claim(ctx, purpose, read.Form.Digest)
	if err != nil {
		f.Log.Error("a link could not be claimed", "error", err)
		return f.page(ctx, "unavailable", asker)
	}
	if claim == nil {
		if found.Row == nil {
			if _, err := f.Limits.Pass(ctx, time.Now(), guesses); err != nil {
				return Answer{}, err
			}
		}
		return f.landing(ctx, purpose, read.Form.Token, found, asker)
	}
	redemption := redemption{Flows: f, current: current, purpose: purpose, form: *read.Form, claim: *claim, asker: asker}
	answer, result, err := redemption.run(ctx)
	if result != done { // also after an error or a panic's recovery elsewhere: the claim would lapse by itself
		if back := f.Store.GiveBack(ctx, claim.ID); back != nil {
			f.Log.Warn("a claim could not be given back and lapses within a minute", "error", back)
		}
	}
	answer.Audit = &link.Audit{
		Event: "postroomRedeem", Success: result == done,
		Params: map[string]string{"purpose": purpose, "result": result, "account_id": claim.Row.AccountID},
	}
	return answer, err
}

// claim waits for another's claim to be decided: a second click sees what came of the first. A nil claim comes
// with what a look found instead.
func (f *Flows) claim(ctx context.Context, purpose string, digest []byte) (*store.Claim, store.Found, error) {
	for deadline := time.Now().Add(claimWithin); ; time.Sleep(pause) {
		claim, err := f.Store.Claim(ctx, purpose, digest)
		if !errors.Is(err, store.ErrNotClaimed) {
			return claim, store.Found{}, err
		}
		found, err := f.Store.Look(ctx, purpose, digest)
		expired := found.Row != nil && found.Row.ExpiresAt <= found.Now.UnixMilli()
		if err != nil || found.Row == nil || expired || time.Now().After(deadline) {
			return nil, found, err
		}
	}
}

// Results of a redemption, as the core names them; stopped is the core's "may not proceed".
const (
	done    = "done"
	retry   = "retry"
	unknown = "unknown"
	stopped = "stopped"
)

// redemption is one claimed token on its way.
type redemption struct {
	*Flows
	current *current
	purpose string
	form    core.Form
	claim   store.Claim
	asker   Asker
}

func (r *redemption) run(ctx context.Context) (Answer, string, error) {
	var may core.RedeemResult
	err := r.Engine.Call(ctx, core.OpRedeem, r.claim.Now, core.LandingArgs{
		Purpose: r.purpose, Token: r.form.Token, Row: &r.claim.Row, Account: r.claim.Account,
		Site: r.current.Site, AcceptLanguage: r.asker.AcceptLanguage,
	}, &may)
	if err != nil || !may.Proceed {
		return Answer{Page: may.Page}, stopped, err
	}
	if r.current.localErr != nil {
		answer, err := r.page(ctx, "unavailable", r.asker)
		return answer, stopped, err
	}
	var outcome core.RedeemOutcomeResult
	for deadline := time.Now().Add(replicaWithin); ; time.Sleep(pause) {
		reply, err := r.tell(ctx, may.Locale)
		if errors.Is(err, mattermost.ErrNotSent) {
			r.Log.Error("a link could not be redeemed", "error", err)
			answer, err := r.page(ctx, "unavailable", r.asker)
			return answer, stopped, err
		}
		if err != nil {
			r.Log.Error("what became of a redemption is not known", "error", err)
		}
		if outcome, err = r.outcome(ctx, reply); err != nil {
			return Answer{}, unknown, err
		}
		if outcome.Result != retry || time.Now().After(deadline) {
			break
		}
	}
	if outcome.Result == unknown && r.passwordChanged(ctx) {
		if outcome, err = r.outcome(ctx, &core.HTTPReply{Status: 200, Body: []byte(`{"status":"OK"}`)}); err != nil {
			return Answer{}, unknown, err
		}
	}
	if outcome.Result == done {
		// Even if this fails, the changed password stamp (or the verified address) has killed the link.
		if err := r.Store.Consume(ctx, r.claim.ID); err != nil {
			r.Log.Warn("a redeemed token could not be removed", "error", err)
		}
	}
	return Answer{Page: &outcome.Page}, outcome.Result, nil
}

// tell makes the inner token, calls Mattermost, and takes the token away again whatever came of it. A nil reply is
// an outcome that is not known.
func (r *redemption) tell(ctx context.Context, locale string) (*core.HTTPReply, error) {
	kind := store.InnerReset
	if r.purpose == "verify" {
		kind = store.InnerVerify
	}
	inner, err := r.Store.InsertInner(ctx, kind, r.claim.Row.AccountID, r.claim.Row.Address)
	if err != nil {
		return nil, errors.Join(mattermost.ErrNotSent, err)
	}
	defer func() {
		if err := r.Store.DeleteInner(ctx, inner); err != nil {
			r.Log.Warn("an inner token is left to the next sweep", "error", err)
		}
	}()
	who := mattermost.Caller{Locale: locale, Address: r.asker.Address}
	if r.purpose == "verify" {
		return r.current.local.VerifyEmail(ctx, inner, who)
	}
	password := ""
	if r.form.NewPassword != nil {
		password = *r.form.NewPassword
	}
	return r.current.local.ResetPassword(ctx, inner, password, who)
}

func (r *redemption) outcome(ctx context.Context, reply *core.HTTPReply) (core.RedeemOutcomeResult, error) {
	var outcome core.RedeemOutcomeResult
	err := r.Engine.Call(ctx, core.OpRedeemOutcome, r.claim.Now, core.RedeemOutcomeArgs{
		Purpose: r.purpose, Token: r.form.Token, Reply: reply, Row: r.claim.Row, Account: r.claim.Account,
		Site: r.current.Site, AcceptLanguage: r.asker.AcceptLanguage,
	}, &outcome)
	return outcome, err
}

// passwordChanged tells a redemption that went through from one that did not, where no reply came.
func (r *redemption) passwordChanged(ctx context.Context) bool {
	account, err := r.Store.AccountByID(ctx, r.claim.Row.AccountID)
	if err != nil || account == nil {
		return false
	}
	if r.purpose == "verify" {
		return account.EmailVerified && account.Email == r.claim.Row.Address && !r.claim.Account.EmailVerified
	}
	return account.PasswordStamp != r.claim.Row.PasswordStamp
}
