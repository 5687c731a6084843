package harness

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Event is one server-sent event, and when it came. A comment has no name.
type Event struct {
	Name string
	Data []byte
	At   time.Time
}

// Events are a reply that is a stream of events. C is closed at its end.
type Events struct {
	Header http.Header
	C      <-chan Event
	// Leave ends the connection.
	Leave context.CancelFunc
}

// Events posts and reads the events of the answer as they come. Another answer than a stream is a *RefusedError.
func (c *Client) Events(path string, body []byte) (*Events, error) {
	ctx, leave := context.WithCancel(context.Background())
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.Base+path, bytes.NewReader(body))
	if err != nil {
		leave()
		return nil, err
	}
	for name, values := range c.Header {
		request.Header[name] = values
	}
	request.Header.Set("Authorization", "Bearer "+c.Token)
	response, err := c.http.Do(request)
	if err != nil {
		leave()
		return nil, err
	}
	if !strings.HasPrefix(response.Header.Get("Content-Type"), "text/event-stream") {
		defer leave()
		defer func() { _ = response.Body.Close() }()
		reply := &Reply{Status: response.StatusCode, Header: response.Header}
		var said bytes.Buffer
		_, err := said.ReadFrom(response.Body)
		reply.Body = said.Bytes()
		if err != nil {
			return nil, err
		}
		return nil, &RefusedError{Reply: reply}
	}
	events := make(chan Event, 1000)
	go func() {
		defer close(events)
		defer func() { _ = response.Body.Close() }()
		lines := bufio.NewScanner(response.Body)
		lines.Buffer(nil, 1<<20)
		var event Event
		for lines.Scan() {
			switch field, value, _ := strings.Cut(lines.Text(), ": "); field {
			case "event":
				event.Name = value
			case "data":
				event.Data = []byte(value)
			case "":
				if value == "" { // an empty line ends an event; a comment has a value
					event.At = time.Now()
					events <- event
					event = Event{}
				}
			}
		}
	}()
	return &Events{Header: response.Header, C: events, Leave: leave}, nil
}

// Next waits for the next event of that name, whose data is decoded into into; false at the end of the stream.
func (e *Events) Next(name string, within time.Duration, into any) (bool, error) {
	patience := time.After(within)
	for {
		select {
		case event, more := <-e.C:
			if !more {
				return false, nil
			}
			if event.Name != name {
				continue
			}
			return true, json.Unmarshal(event.Data, into)
		case <-patience:
			return false, fmt.Errorf("no event %s within %s", name, within)
		}
	}
}
