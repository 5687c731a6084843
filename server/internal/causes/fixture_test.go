// Package causes plays every fixture of contract/causes through a real socket: the courier speaks to a server that does
// what the fixture says, and the core is asked what was the matter. It is a test and nothing else.
package causes

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postroom/server/internal/courier/peer"
)

// fixture is a file of contract/causes; contract/README.md says what its members mean.
type fixture struct {
	Cause  string `json:"cause"`
	Source struct {
		Title string `json:"title"`
		URL   string `json:"url"`
	} `json:"source"`
	Note       string     `json:"note"`
	Connection connection `json:"connection"`
	From       *string    `json:"from"`
	Message    string     `json:"message"`
	Octets     int        `json:"octets"` // length of the message, where it matters
	DNS        string     `json:"dns"`    // nxdomain no_address servfail refused silent; empty: the addresses
	// Addresses are the server's, 127.0.0.1 where none are named; TCP is what befalls a connection to each: reached where
	// nothing else is said.
	Addresses []string          `json:"addresses"`
	TCP       map[string]string `json:"tcp"`
	OAuth     *provider         `json:"oauth"`
	Peer      script            `json:"peer"`
	TotalMS   int64             `json:"total_ms"` // how long all of it may take, where that is the matter
	Cancel    bool              `json:"cancel"`   // at the step that stalls
	Expect    struct {
		Step   string   `json:"step"`
		State  string   `json:"state"`
		Advice []string `json:"advice_contains"`
	} `json:"expect"`

	name string
}

type connection struct {
	Server   string   `json:"server"`
	Port     int      `json:"port"`
	Security string   `json:"security"`
	Verify   *bool    `json:"verify_certificate"` // true where it is left out
	MinTLS   string   `json:"min_tls"`
	Pin      string   `json:"pin"`
	Auth     []string `json:"auth"`
	Username string   `json:"username"`
	Password string   `json:"password"`
	EHLOName string   `json:"ehlo_name"`
	Sender   string   `json:"envelope_sender"`
}

// provider is an identity provider that answers every request for a token so; Silent is one that does not.
type provider struct {
	Status int    `json:"status"`
	Body   string `json:"body"`
	Closed bool   `json:"closed"`
}

// script is what the server is and does.
type script struct {
	TLS string `json:"tls"` // see certificates
	// Implicit: TLS from the first octet; where it is left out, if the connection's security is tls and TLS is not none.
	Implicit   *bool             `json:"implicit"`
	Extensions []string          `json:"extensions"` // STARTTLS is added to those left out, where there is TLS
	At         map[string]action `json:"at"`
}

// action is a reply, or "stall", "close", "reset", "endless", "deaf"; or {"say": …, "then": "close"|"stall"}; Raw are
// octets in hex, said as they are.
type action struct {
	Raw  string `json:"raw"`
	Say  string `json:"say"`
	Then string `json:"then"`
}

func (a *action) UnmarshalJSON(in []byte) error {
	var word string
	if json.Unmarshal(in, &word) == nil {
		switch word {
		case "stall", "close", "reset", "endless", "deaf":
			a.Then = word
		default:
			a.Say = word
		}
		return nil
	}
	type plain action
	return strictly(in, (*plain)(a))
}

func (a action) do(t *testing.T) peer.Action {
	raw, err := hex.DecodeString(a.Raw)
	if err != nil {
		t.Fatalf("raw: %v", err)
	}
	said := func(s *peer.Session) bool {
		if len(raw) > 0 {
			_, err := s.Write(raw)
			return err == nil
		}
		if a.Say == "" {
			return true
		}
		return peer.Say(a.Say)(s)
	}
	then, known := map[string]peer.Action{
		"": func(*peer.Session) bool { return true }, "stall": peer.Stall(), "close": peer.Close(),
		"reset": peer.After(100*time.Millisecond, peer.Reset()), "endless": peer.Endless(), "deaf": peer.Deaf(t.Context().Done()),
	}[a.Then]
	if !known {
		t.Fatalf("no such action: %q", a.Then)
	}
	return func(s *peer.Session) bool { return said(s) && then(s) }
}

// stalls says whether the client waits for its deadline at some step.
func (f *fixture) stalls() bool {
	for _, is := range f.Peer.At {
		if is.Then == "stall" || is.Then == "deaf" {
			return true
		}
	}
	return f.DNS == "silent" || strings.Contains(fmt.Sprint(f.TCP), "silent") || f.plainToTLS()
}

// plainToTLS is where both sides wait for the other's first octet.
func (f *fixture) plainToTLS() bool { return f.Connection.Security != "tls" && f.implicit() }

func (f *fixture) implicit() bool {
	if f.Peer.Implicit != nil {
		return *f.Peer.Implicit
	}
	return f.Connection.Security == "tls" && f.Peer.TLS != "" && f.Peer.TLS != "none"
}

var root = filepath.Join("..", "..", "..")

func fixtures(t *testing.T) []*fixture {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(root, "contract", "causes", "*.json"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no fixtures in contract/causes: %v", err)
	}
	all := make([]*fixture, 0, len(paths))
	for _, path := range paths {
		in, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		f := &fixture{name: strings.TrimSuffix(filepath.Base(path), ".json")}
		if err := strictly(in, f); err != nil {
			t.Fatalf("%s: %v", f.name, err)
		}
		if cause, _, _ := strings.Cut(f.name, "."); cause != f.Cause {
			t.Errorf("%s: the cause is %q", f.name, f.Cause)
		}
		if f.Source.Title == "" || !strings.HasPrefix(f.Source.URL, "https://") {
			t.Errorf("%s: no source", f.name)
		}
		all = append(all, f)
	}
	return all
}

func strictly(in []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(in))
	d.DisallowUnknownFields()
	return d.Decode(into)
}
