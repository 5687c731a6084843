package shim

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/mattermost/mattermost/server/public/model"

	"postroom/server/internal/link"
)

// knock is how long a server that does not listen yet is left alone: plugins are started before it does.
const knock = 20 * time.Millisecond

// act is what a session was made for: calls of Mattermost's own API, on loopback. Its errors are in words for an admin.
type act struct {
	base  string
	token string // secret
}

// refuseFixed looks for settings that an environment variable fixes: the server would answer 200, and change the others.
func (a act) refuseFixed(have, want link.EmailSettings) error {
	var fixed struct{ EmailSettings map[string]any }
	if err := a.call(http.MethodGet, "/api/v4/config/environment", nil, &fixed); err != nil {
		return err
	}
	var variables []string
	for _, name := range differing(have, want) {
		if fixed.EmailSettings[name] == true {
			variables = append(variables, "MM_EMAILSETTINGS_"+strings.ToUpper(name))
		}
	}
	if len(variables) == 0 {
		return nil
	}
	return fmt.Errorf("the environment of the Mattermost server fixes its SMTP settings, and nothing was changed: remove %s from it, restart the server, and set the same in System Console > Environment > SMTP", strings.Join(variables, " and "))
}

func (a act) patch(settings link.EmailSettings) error {
	return a.call(http.MethodPut, "/api/v4/config/patch", map[string]any{"EmailSettings": settings}, nil)
}

// call waits for a server that is still being started.
func (a act) call(method, path string, body, into any) error {
	ctx, cancel := context.WithTimeout(context.Background(), patchWithin)
	defer cancel()
	client := http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}, // see package mattermost
	}}
	defer client.CloseIdleConnections()
	for {
		request, err := a.request(ctx, method, path, body)
		if err != nil {
			return err
		}
		reply, err := client.Do(request)
		switch {
		case err == nil:
			defer func() { _ = reply.Body.Close() }()
			return outcome(reply, into)
		case !errors.Is(err, syscall.ECONNREFUSED) || ctx.Err() != nil:
			return fmt.Errorf("the Mattermost server's own API could not be reached on this machine: %w", err)
		}
		time.Sleep(knock)
	}
}

func (a act) request(ctx context.Context, method, path string, body any) (*http.Request, error) {
	var content io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		content = bytes.NewReader(raw)
	}
	request, err := http.NewRequestWithContext(ctx, method, a.base+path, content)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+a.token)
	request.Header.Set("Content-Type", "application/json")
	return request, nil
}

// mends of what Mattermost refuses with, by the id of its error.
var mends = map[string]string{
	"ent.cluster.save_config.error": "ClusterSettings.ReadOnlyConfig is on: set the SMTP settings in the configuration itself, or switch it off",
	"app.save_config.app_error":     "see that the Mattermost server may write its configuration (config.json, or the database that MM_CONFIG names)",
}

func outcome(reply *http.Response, into any) error {
	body, err := io.ReadAll(io.LimitReader(reply.Body, 4<<20))
	if err != nil {
		return fmt.Errorf("the Mattermost server's answer broke off: %w", err)
	}
	if reply.StatusCode != http.StatusOK {
		var said model.AppError
		_ = json.Unmarshal(body, &said)
		words := []string{strings.TrimSuffix(said.Message, "."), mends[said.Id]}
		words = slices.DeleteFunc(words, func(word string) bool { return word == "" })
		return fmt.Errorf("the Mattermost server refused to change the SMTP settings (status %d): %s", reply.StatusCode, strings.Join(words, "; "))
	}
	if into == nil {
		return nil
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("the Mattermost server's answer can't be read: %w", err)
	}
	return nil
}
