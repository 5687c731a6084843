package mattermost

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"postroom/server/internal/core"
	"postroom/server/internal/settings"
)

func TestBase(t *testing.T) {
	for _, c := range []struct {
		listen, site, want string
		tls                bool
	}{
		{":8065", "https://chat.example.com", "http://127.0.0.1:8065", false},
		{":8065", "https://chat.example.com/sub/", "http://127.0.0.1:8065/sub", false},
		{"0.0.0.0:8065", "", "http://127.0.0.1:8065", false},
		{"[::]:443", "https://x", "https://127.0.0.1:443", true},
		{"127.0.0.1:8065", "http://x", "http://127.0.0.1:8065", false},
		{"10.1.2.3:8065", "http://x/a/b", "http://10.1.2.3:8065/a/b", false},
		{"[fd00::1]:8065", "http://x", "http://[fd00::1]:8065", false},
		{"localhost:http", "http://x", "http://localhost:80", false},
		{":https", "http://x", "https://127.0.0.1:443", true},
		{":", "http://x", "https://127.0.0.1:443", true},
		{"", "http://x", "http://127.0.0.1:80", false},
		{"mm.internal", "http://x", "http://mm.internal:80", false},
	} {
		if got, err := Base(c.listen, c.tls, c.site); err != nil || got != c.want {
			t.Errorf("%q %v %q: %q %v, want %q", c.listen, c.tls, c.site, got, err, c.want)
		}
	}
	if _, err := Base("unix:/run/mm.sock", false, "http://x"); err == nil {
		t.Error("a socket's path was taken for an address")
	}
}

func TestCallsThroughTLSUnderASubpath(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.URL.Path != "/sub/api/v4/users/password/reset" || string(body) != `{"new_password":"p","token":"t"}` || r.Header.Get("Accept-Language") != "de" {
			t.Errorf("%s %s %v", r.URL.Path, body, r.Header)
		}
		w.WriteHeader(http.StatusTeapot)
	}))
	defer server.Close()
	local, err := New(&settings.Snapshot{ListenAddress: server.Listener.Addr().String(), TLS: true, Site: core.Site{URL: "https://chat.example.com/sub"}})
	if err != nil {
		t.Fatal(err)
	}
	reply, err := local.ResetPassword(context.Background(), "t", "p", Caller{Locale: "de"})
	if err != nil || reply.Status != http.StatusTeapot {
		t.Fatalf("%v %v", reply, err)
	}
}

func TestNobodyThereIsNotSent(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	_ = listener.Close()
	local, err := New(&settings.Snapshot{ListenAddress: address})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := local.VerifyEmail(context.Background(), "t", Caller{}); !errors.Is(err, ErrNotSent) {
		t.Fatal(err)
	}
}
