package causes

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"postroom/server/internal/core"
)

// start runs the identity provider, and gives the settings that name it; nil where the fixture has none.
func (p *provider) start(t *testing.T) *core.OAuth {
	t.Helper()
	if p == nil {
		return nil
	}
	settings := &core.OAuth{ClientID: "client", ClientSecret: password, Scope: "https://outlook.office365.com/.default"}
	if p.Closed {
		shut, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		settings.TokenURL = "http://" + shut.Addr().String() + "/token"
		_ = shut.Close()
		return settings
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(p.Status)
		_, _ = io.WriteString(w, p.Body)
	}))
	t.Cleanup(server.Close)
	settings.TokenURL = server.URL + "/token"
	return settings
}
