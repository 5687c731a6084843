package courier

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"postroom/server/internal/core"
	"postroom/server/internal/courier/peer"
)

// What Microsoft and Google say (AADSTS codes: learn.microsoft.com/entra/identity-platform/reference-error-codes; Google:
// the reply of oauth2.googleapis.com/token, as in apache/opendal issue 3901).
const (
	microsoftSecret = `{"error":"invalid_client","error_description":"AADSTS7000215: Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app '6731de76-14a6-49ae-97bc-6eba6914391e'. Trace ID: 0df8b3bb-f5b8-4cf3-b1fb-5a5ba53b4e00 Correlation ID: 32d2b6ba-8b3f-4c5c-8d1a-3b4d6ef2b9aa Timestamp: 2026-11-24 12:00:00Z","error_codes":[7000215],"timestamp":"2026-11-24 12:00:00Z","trace_id":"0df8b3bb-f5b8-4cf3-b1fb-5a5ba53b4e00","correlation_id":"32d2b6ba-8b3f-4c5c-8d1a-3b4d6ef2b9aa","error_uri":"https://login.microsoftonline.com/error?code=7000215"}`
	googleRevoked   = "{\n  \"error\": \"invalid_grant\",\n  \"error_description\": \"Token has been expired or revoked.\"\n}"
	googleRefuses   = `{"status":"400","schemes":"Bearer","scope":"https://mail.google.com/"}`
)

// tokenServer gives access tokens as Microsoft and Google do.
type tokenServer struct {
	*httptest.Server
	mu    sync.Mutex
	asked []url.Values
	says  func(w http.ResponseWriter, n int) // nil for a token that lives an hour
}

func newTokenServer(t *testing.T) *tokenServer {
	s := &tokenServer{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		s.mu.Lock()
		s.asked = append(s.asked, r.PostForm)
		n, says := len(s.asked), s.says
		s.mu.Unlock()
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		if says != nil {
			says(w, n)
			return
		}
		_, _ = fmt.Fprintf(w, `{"token_type":"Bearer","expires_in":3599,"ext_expires_in":3599,"access_token":"token-number-%d"}`, n)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *tokenServer) requests() []url.Values {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]url.Values(nil), s.asked...)
}

func (s *tokenServer) say(says func(w http.ResponseWriter, n int)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.says = says
}

func with(status int, body string) func(http.ResponseWriter, int) {
	return func(w http.ResponseWriter, _ int) { w.WriteHeader(status); _, _ = w.Write([]byte(body)) }
}

// bearers is a peer that takes AUTH XOAUTH2 with these tokens, and says what Google does to any other.
func bearers(t *testing.T, s *tokenServer, good func(token string) bool) (*peer.Peer, core.Connection) {
	p := peer.Start(t, func(p *peer.Peer) {
		offer(p, "AUTH LOGIN XOAUTH2")
		offer(p, "STARTTLS")
		p.TLS = peer.Certificate(t, time.Now().Add(time.Hour), "127.0.0.1")
	})
	p.At(peer.AUTH, func(s *peer.Session) bool {
		initial, inline := strings.CutPrefix(s.Line(), "AUTH XOAUTH2 ")
		if !inline {
			initial = s.Ask("")
		}
		plain, _ := base64.StdEncoding.DecodeString(initial)
		token, is := strings.CutPrefix(string(plain), "user=bot@example.com\x01auth=Bearer ")
		token, ends := strings.CutSuffix(token, "\x01\x01")
		if is && ends && good(token) {
			return peer.Say("235 2.7.0 Accepted")(s)
		}
		if s.Ask(googleRefuses) != "" {
			return peer.Say("501 5.5.2 An empty line was expected")(s)
		}
		return peer.Say("535-5.7.8 Username and Password not accepted. For more information, go to\n535 5.7.8  https://support.google.com/mail/?p=BadCredentials " + token + " - gsmtp")(s)
	})
	connection := to(p)
	connection.Security, connection.Auth, connection.Username = "starttls", []string{"scram_sha_256", "xoauth2"}, "bot@example.com"
	connection.OAuth = &core.OAuth{TokenURL: s.URL + "/token", ClientID: "the-client", ClientSecret: "the-client's secret~", Scope: "https://outlook.office365.com/.default"}
	return p, connection
}

func anyToken(string) bool { return true }

func TestAnAccessTokenIsFetchedAndKept(t *testing.T) {
	s := newTokenServer(t)
	p, connection := bearers(t, s, anyToken)
	k, _ := pooled(t)
	for range 3 {
		if outcome := k.Send(t.Context(), connection, mail); told(outcome) != "final_dot 250" {
			t.Fatalf("%+v", outcome)
		}
		k.Pool.EndIdle()
		eventually(t, func() bool { return k.Pool.idling() == 0 })
	}
	asked := s.requests()
	want := url.Values{"grant_type": {"client_credentials"}, "client_id": {"the-client"}, "client_secret": {"the-client's secret~"}, "scope": {"https://outlook.office365.com/.default"}}
	if len(asked) != 1 || asked[0].Encode() != want.Encode() || said(p, "AUTH XOAUTH2") != 3 {
		t.Errorf("%v", asked)
	}
	// By a refresh token, as Google has it; a test fetches its own.
	connection.OAuth.RefreshToken, connection.OAuth.Scope = "1//refresh-token", ""
	outcome, all := observed(t, connection)
	if told(outcome) != "final_dot 250" || !strings.Contains(steps(all[len(all)-1]), "ehlo 250, oauth, auth 235, mail_from 250") || all[len(all)-1].Mechanism != "XOAUTH2" {
		t.Errorf("%+v: %s", outcome, steps(all[len(all)-1]))
	}
	asked = s.requests()
	want = url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"1//refresh-token"}, "client_id": {"the-client"}, "client_secret": {"the-client's secret~"}}
	if len(asked) != 2 || asked[1].Encode() != want.Encode() {
		t.Errorf("%v", asked)
	}
}

// A long token waits for the server's empty challenge, as its line would be too long (RFC 4954, 4).
func TestALongTokenWaitsToBeAskedFor(t *testing.T) {
	s := newTokenServer(t)
	long := strings.Repeat("x", 3000)
	s.say(with(200, `{"token_type":"Bearer","expires_in":3599,"access_token":"`+long+`"}`))
	p, connection := bearers(t, s, func(token string) bool { return token == long })
	if outcome := courier().Send(t.Context(), connection, mail); told(outcome) != "final_dot 250" || said(p, "AUTH XOAUTH2") != 1 {
		t.Fatalf("%+v", outcome)
	}
	for _, command := range p.Commands() {
		if len(command) > initialLimit {
			t.Errorf("a line of %d octets", len(command))
		}
	}
}

// Refusals and silences of the provider are told apart, in its own words and without a secret (R15).
func TestAProviderThatGivesNoToken(t *testing.T) {
	stalled := make(chan struct{})
	for name, c := range map[string]struct {
		says func(http.ResponseWriter, int)
		want string
		said string
	}{
		"Microsoft, a wrong secret": {with(401, microsoftSecret), FailureOAuthRefused, "invalid_client: AADSTS7000215: Invalid client secret provided."},
		"Google, revoked":           {with(400, googleRevoked), FailureOAuthRefused, "invalid_grant: Token has been expired or revoked."},
		"it echoes the secret":      {with(400, `{"error":"invalid_client","error_description":"the-client's secret~ is wrong"}`), FailureOAuthRefused, "invalid_client: [secret] is wrong"},
		"not JSON":                  {with(404, "<html>Not here</html>"), FailureOAuthRefused, "HTTP 404"},
		"elsewhere": {func(w http.ResponseWriter, _ int) {
			w.Header().Set("Location", "http://127.0.0.1:1/")
			w.WriteHeader(307)
		}, FailureOAuthRefused, "HTTP 307"},
		"in trouble": {with(503, "busy"), FailureOAuthUnreachable, "HTTP 503"},
		"busy":       {with(429, `{"error":"temporarily_unavailable"}`), FailureOAuthUnreachable, "temporarily_unavailable"},
		"a portal":   {with(200, "<html>Please log in</html>"), FailureOAuthUnreachable, "something else"},
		"silent":     {func(http.ResponseWriter, int) { <-stalled }, FailureOAuthUnreachable, "in time"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newTokenServer(t)
			s.say(c.says)
			p, connection := bearers(t, s, anyToken)
			if name == "silent" {
				t.Cleanup(func() { close(stalled) })
			}
			k := courier()
			k.Deadlines.OAuth = step
			var last core.Facts
			k.Observe = func(facts core.Facts) { last = facts }
			outcome := k.Send(t.Context(), connection, mail)
			if told(outcome) != "auth "+c.want || !strings.Contains(outcome.Detail, c.said) || strings.Contains(outcome.Detail, "secret~") {
				t.Errorf("%s: %s", told(outcome), outcome.Detail)
			}
			if !strings.HasSuffix(steps(last), "oauth "+c.want) || said(p, "AUTH") > 0 || len(s.requests()) != 1 {
				t.Errorf("%s, %d requests", steps(last), len(s.requests()))
			}
		})
	}
	for _, bad := range []string{"", "http://login.example.com/token", "ftp://127.0.0.1/", "%"} {
		if _, err := fetchToken(t.Context(), core.OAuth{TokenURL: bad}, step); err == nil || !strings.Contains(err.Error(), "https") {
			t.Errorf("%q: %v", bad, err)
		}
	}
	s := newTokenServer(t)
	_, connection := bearers(t, s, anyToken)
	s.Close()
	if outcome := courier().Send(t.Context(), connection, mail); told(outcome) != "auth "+FailureOAuthUnreachable {
		t.Errorf("%+v", outcome)
	}
}

// A kept token that the server no longer takes is replaced once; a fresh one that it does not take is told.
func TestAWornTokenIsReplacedOnce(t *testing.T) {
	s := newTokenServer(t)
	var mu sync.Mutex
	good := "token-number-1"
	p, connection := bearers(t, s, func(token string) bool { mu.Lock(); defer mu.Unlock(); return token == good })
	k, _ := pooled(t)
	send := func() core.Outcome {
		outcome := k.Send(t.Context(), connection, mail)
		k.Pool.EndIdle()
		eventually(t, func() bool { return k.Pool.idling() == 0 })
		return outcome
	}
	if outcome := send(); told(outcome) != "final_dot 250" {
		t.Fatalf("%+v", outcome)
	}
	mu.Lock()
	good = "token-number-2"
	mu.Unlock()
	if outcome := send(); told(outcome) != "final_dot 250" || len(s.requests()) != 2 {
		t.Fatalf("%+v", outcome)
	}
	mu.Lock()
	good = "none"
	mu.Unlock()
	outcome := send()
	if told(outcome) != "auth 535" || len(s.requests()) != 3 || len(p.Mails()) != 2 {
		t.Fatalf("%+v, %d requests", outcome, len(s.requests()))
	}
	if !strings.Contains(outcome.Detail, `"status":"400","schemes":"Bearer"`) {
		t.Error(outcome.Detail)
	}
	if text, _ := json.Marshal(outcome); strings.Contains(string(text), "token-number") {
		t.Errorf("the token is in %s", text)
	}
}

// Tokens are renewed before they end, by one request at a time; while the provider is away the old one serves.
func TestTokensAreRenewedAhead(t *testing.T) {
	s := newTokenServer(t)
	settings := core.OAuth{TokenURL: s.URL, ClientID: "c", ClientSecret: "secret", RefreshToken: "first refresh"}
	keeper := &tokens{}
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if token, _, err := keeper.get(t.Context(), settings, 20*time.Second); token != "token-number-1" || err != nil {
				t.Error(token, err)
			}
		})
	}
	all.Wait()
	age := func(left time.Duration) {
		keeper.mu.Lock()
		defer keeper.mu.Unlock()
		for _, a := range keeper.of {
			a.token.Expiry = time.Now().Add(left)
			a.renewAt = a.token.Expiry.Add(-refreshAhead)
		}
	}
	age(refreshAhead - time.Second)
	s.say(with(503, ""))
	if token, kept, err := keeper.get(t.Context(), settings, 20*time.Second); token != "token-number-1" || !kept || err != nil {
		t.Error(token, kept, err)
	}
	s.say(with(200, `{"access_token":"another token","expires_in":"300","refresh_token":"second refresh"}`))
	if token, kept, err := keeper.get(t.Context(), settings, 20*time.Second); token != "another token" || kept || err != nil {
		t.Error(token, kept, err)
	}
	if token, kept, _ := keeper.get(t.Context(), settings, 20*time.Second); token != "another token" || !kept {
		t.Error("a token that lives 5 minutes is not kept")
	}
	age(-time.Second)
	s.say(with(503, ""))
	if _, _, err := keeper.get(t.Context(), settings, 20*time.Second); err == nil {
		t.Error("a token that has ended is used")
	}
	// A refresh token that was given later is used, and when that is refused the settings' own is again.
	s.say(with(400, googleRevoked))
	for _, want := range []string{"second refresh", "first refresh"} {
		if _, _, err := keeper.get(t.Context(), settings, 20*time.Second); err == nil {
			t.Error("a token")
		}
		asked := s.requests()
		if got := asked[len(asked)-1].Get("refresh_token"); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	if len(s.requests()) != 6 {
		t.Errorf("%d requests", len(s.requests()))
	}
}
