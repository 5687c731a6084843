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
