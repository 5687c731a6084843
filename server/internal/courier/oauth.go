package courier

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"postroom/server/internal/core"
)

// refreshAhead is how long before its end a token is replaced, and refreshShare the part of its life for one that lives
// but a few minutes. Meanwhile the old one serves if the provider is out of reach.
const (
	refreshAhead = 10 * time.Minute
	refreshShare = 4
)

// tokens keeps access tokens, by the settings that they were got with. One request at a time is under way for each.
type tokens struct {
	mu sync.Mutex
	of map[[sha256.Size]byte]*access
}

type access struct {
	token    *oauth2.Token
	renewAt  time.Time
	fetching chan struct{} // closed when it ends; nil while none is under way
	err      error         // of the last
}

// tokenError is a token that the provider does not give.
type tokenError struct{ failure, detail string }

func (e *tokenError) Error() string { return e.detail }

// get gives an access token, and whether it was kept from before. limit bounds a request for one.
func (k *tokens) get(ctx context.Context, settings core.OAuth, limit time.Duration) (token string, kept bool, err error) {
	key := keyOf(settings)
	k.mu.Lock()
	if k.of == nil {
		k.of = map[[sha256.Size]byte]*access{}
	}
	a := k.of[key]
	if a == nil {
		k.forget()
		a = &access{}
		k.of[key] = a
	}
	if a.token != nil && time.Now().Before(a.renewAt) {
		defer k.mu.Unlock()
		return a.token.AccessToken, true, nil
	}
	if a.fetching == nil {
		a.fetching = make(chan struct{})
		if a.token != nil && a.token.RefreshToken != "" {
			settings.RefreshToken = a.token.RefreshToken // some providers give a new one each time
		}
		// Others may wait for it: it does not end with who happened to ask first.
		go k.renew(context.WithoutCancel(ctx), a, settings, limit)
	}
	fetching := a.fetching
	k.mu.Unlock()
	select {
	case <-fetching:
	case <-ctx.Done():
		return "", false, ctx.Err()
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if a.token != nil && (a.err == nil || time.Now().Before(a.token.Expiry)) {
		return a.token.AccessToken, a.err != nil, nil
	}
	return "", false, a.err
}

func (k *tokens) renew(ctx context.Context, a *access, settings core.OAuth, limit time.Duration) {
	token, err := fetchToken(ctx, settings, limit)
	k.mu.Lock()
	defer k.mu.Unlock()
	var refused *tokenError
	switch {
	case err == nil:
		a.token, a.renewAt = token, renewal(token)
	case errors.As(err, &refused) && refused.failure == FailureOAuthRefused:
		a.token = nil // with it goes a refresh token that was given later: the settings' own is tried next
	}
	a.err = err
	close(a.fetching)
	a.fetching = nil
}

// renewal is when a token is to be replaced; one that does not say how long it lives is asked for each time.
func renewal(token *oauth2.Token) time.Time {
	if token.Expiry.IsZero() {
		return time.Time{}
	}
	life := time.Until(token.Expiry)
	return token.Expiry.Add(-min(refreshAhead, life/refreshShare))
}

// drop forgets a token that a server refused.
func (k *tokens) drop(settings core.OAuth, token string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if a := k.of[keyOf(settings)]; a != nil && a.token != nil && a.token.AccessToken == token {
		a.renewAt, a.token.Expiry = time.Time{}, time.Time{}
	}
}

// forget drops what belongs to settings of the past.
func (k *tokens) forget() {
	for key, a := range k.of {
		if a.fetching == nil && (a.token == nil || time.Now().After(a.token.Expiry)) {
			delete(k.of, key)
		}
	}
}

// keyOf tells settings apart without keeping them.
func keyOf(settings any) [sha256.Size]byte {
	text, _ := json.Marshal(settings)
	return sha256.Sum256(text)
}

// provider asks for tokens. It follows no redirection: what it sends is secret.
var provider = &http.Client{
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// fetchToken asks the provider for an access token: by the refresh token where there is one (RFC 6749, 6), else by the
// client's own credentials (4.4). Its errors are *tokenError.
func fetchToken(ctx context.Context, settings core.OAuth, limit time.Duration) (*oauth2.Token, error) {
	at, err := url.Parse(settings.TokenURL)
	if err != nil || at.Host == "" || (at.Scheme != "https" && !(at.Scheme == "http" && loopbackName(at.Hostname()))) {
		return nil, &tokenError{FailureOAuthRefused, "the token URL is no https address"}
	}
	ctx, cancel := within(context.WithValue(ctx, oauth2.HTTPClient, provider), limit)
	defer cancel()
	scopes := strings.Fields(settings.Scope)
	var token *oauth2.Token
	if settings.RefreshToken != "" {
		// Microsoft and Google both take the client's credentials as parameters; asking in two ways would make one
		// refusal two.
		config := &oauth2.Config{
			ClientID: settings.ClientID, ClientSecret: settings.ClientSecret, Scopes: scopes,
			Endpoint: oauth2.Endpoint{TokenURL: settings.TokenURL, AuthStyle: oauth2.AuthStyleInParams},
		}
		token, err = config.TokenSource(ctx, &oauth2.Token{RefreshToken: settings.RefreshToken}).Token()
	} else {
		config := &clientcredentials.Config{
			ClientID: settings.ClientID, ClientSecret: settings.ClientSecret, Scopes: scopes,
			TokenURL: settings.TokenURL, AuthStyle: oauth2.AuthStyleInParams,
		}
		token, err = config.Token(ctx)
	}
	if err != nil {
		why, hidden := whyNoToken(err, at.Host), &secrets{}
		hidden.add(settings.ClientSecret, settings.RefreshToken)
		why.detail = hidden.hide(why.detail)
		return nil, why
	}
	return token, nil
}

func loopbackName(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// whyNoToken tells a refusal, which a person must mend, from a provider that is out of reach or in trouble.
func whyNoToken(err error, host string) *tokenError {
	var refused *oauth2.RetrieveError
	var network net.Error
	switch {
	case errors.As(err, &refused):
		status := 0
		if refused.Response != nil {
			status = refused.Response.StatusCode
		}
		said := oneLine(refused.ErrorCode + ": " + refused.ErrorDescription)
		if refused.ErrorCode == "" {
			said = fmt.Sprintf("HTTP %d", status)
		}
		said = said[:min(len(said), 600)]
		if status >= 500 || status == http.StatusTooManyRequests || refused.ErrorCode == "temporarily_unavailable" || refused.ErrorCode == "server_error" {
			return &tokenError{FailureOAuthUnreachable, host + " gives no access token now: " + said}
		}
		return &tokenError{FailureOAuthRefused, host + " refuses an access token: " + said}
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &network) && network.Timeout():
		return &tokenError{FailureOAuthUnreachable, host + " did not answer in time"}
	}
	var asked *url.Error
	if errors.As(err, &asked) {
		return &tokenError{FailureOAuthUnreachable, host + " can't be asked: " + oneLine(asked.Err.Error())}
	}
	return &tokenError{FailureOAuthUnreachable, host + " answered with something else than an access token"}
}

// accessToken is the connection's, by the courier's pool where there is one, and always fetched anew without it.
func (t *conversation) accessToken(ctx context.Context) (string, *core.Outcome) {
	t.notes.begin()
	if t.to.OAuth == nil {
		return "", t.failToken(FailureOther, "AUTH XOAUTH2 is chosen, but it is not set up where an access token comes from")
	}
	keeper := &tokens{}
	if t.courier.Pool != nil {
		keeper = &t.courier.Pool.tokens
	}
	token, kept, err := keeper.get(ctx, *t.to.OAuth, t.courier.Deadlines.OAuth)
	t.notes.secrets.add(token)
	var refused *tokenError
	switch {
	case errors.As(err, &refused):
		return "", t.failToken(refused.failure, refused.detail)
	case err != nil:
		return "", t.failToken(kindOf(ctx, err, StepAuth), describe(ctx, err))
	}
	if kept {
		t.keptToken = token
	}
	t.notes.event(StepOAuth, core.Outcome{}, "")
	return token, nil
}

// failToken is of AUTH in the outcome, and of the token in the facts.
func (t *conversation) failToken(failure, detail string) *core.Outcome {
	outcome := failed(StepAuth, failure, detail)
	t.notes.event(StepOAuth, *outcome, "")
	return outcome
}
