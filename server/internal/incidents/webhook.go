package incidents

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"postroom/server/internal/store"
)

const (
	tries      = 3
	tryWithin  = 10 * time.Second
	firstPause = time.Second // tripled each time
	// takenFor is longer than all tries together, so that no other node tries meanwhile.
	takenFor = time.Minute
)

// note is what the webhook is told. Mattermost and Slack show Text and pass over the rest.
type note struct {
	Text  string `json:"text"`
	Kind  string `json:"kind"`
	Key   string `json:"key"`
	Phase string `json:"phase"` // open, over
	At    string `json:"at"`    // RFC 3339
}

// webhook is where notes go. Its address is secret: whoever has it may post.
type webhook struct {
	address string
	client  *http.Client
}

// newWebhook gives nil for an empty address. Its error does not repeat the address.
func newWebhook(address string) (*webhook, error) {
	if address == "" {
		return nil, nil
	}
	parsed, err := url.Parse(address)
	if err != nil || parsed.Host == "" {
		return nil, errors.New("the setting AlertWebhook is no address; it must be one like https://chat.example.com/hooks/…")
	}
	if parsed.Scheme != "https" && (parsed.Scheme != "http" || !loopback(parsed.Hostname())) {
		return nil, errors.New("the setting AlertWebhook must begin with https://; http:// is for this machine's loopback address only")
	}
	return &webhook{address: address, client: &http.Client{
		Timeout: tryWithin,
		// Another address could be one that the setting may not name.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// send tells the webhook what waits for it. What it does not take in three tries is dropped: the admins have been told.
func (i *Incidents) send(ctx context.Context) error {
	for {
		taken, err := i.store.TakeWebhooks(ctx, 1, takenFor)
		if err != nil || len(taken) == 0 {
			return err
		}
		if hook := i.hook.Load(); hook != nil {
			if err := hook.tell(ctx, taken[0]); err != nil {
				if ctx.Err() != nil {
					return ctx.Err() // another node, or the next service, takes it up
				}
				i.log.Warn("the webhook of the setting AlertWebhook was not told of an incident", "why", err.Error())
			}
		}
		if err := i.store.DoneActs(ctx, []int64{taken[0].ID}); err != nil {
			return err
		}
	}
}

func (w *webhook) tell(ctx context.Context, act store.Act) error {
	pause := firstPause
	for try := 1; ; try++ {
		err := w.post(ctx, act.Body)
		if err == nil || try == tries || ctx.Err() != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
		pause *= 3
	}
}

func (w *webhook) post(ctx context.Context, body []byte) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, w.address, bytes.NewReader(body))
	if err != nil {
		return errors.New("its address can't be used")
	}
	request.Header.Set("Content-Type", "application/json")
	reply, err := w.client.Do(request)
	if err != nil {
		return withoutAddress(err)
	}
	defer func() { _ = reply.Body.Close() }()
	_, _ = io.Copy(io.Discard, io.LimitReader(reply.Body, 1<<16))
	if reply.StatusCode/100 != 2 {
		return fmt.Errorf("it answered with status %d", reply.StatusCode)
	}
	return nil
}

// withoutAddress keeps what kind of failure it was: net/http's own words have the address in them.
func withoutAddress(err error) error {
	var timeout net.Error
	var name *net.DNSError
	var dial *net.OpError
	switch {
	case errors.As(err, &timeout) && timeout.Timeout():
		return fmt.Errorf("it did not answer within %s", tryWithin)
	case errors.As(err, &name):
		return errors.New("its host's name can't be looked up")
	case errors.As(err, &dial):
		return errors.New("its host can't be reached")
	}
	return errors.New("it did not answer as HTTP, or its certificate is not trusted")
}
