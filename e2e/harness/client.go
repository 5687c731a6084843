package harness

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Client speaks to a Mattermost server, or to a proxy before it, as somebody or nobody.
type Client struct {
	// Base is the address, with SiteURL's path if there is one, without a slash at the end.
	Base string
	// Token is a session's; empty for nobody.
	Token string
	// Header is sent with every request.
	Header http.Header
	// OwnRoutes asks Mattermost's own routes, which a proxy sends to the plugin, instead of the plugin's.
	OwnRoutes bool

	http *http.Client
}

// NewClient makes one that takes any certificate and follows no redirect.
func NewClient(base string) *Client {
	return &Client{Base: base, http: &http.Client{
		Timeout:       60 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			MaxIdleConnsPerHost: 128,
			TLSClientConfig:     &tls.Config{InsecureSkipVerify: true}, // a test's own certificate
		},
	}}
}

// As gives a client with another session, sharing connections.
func (c *Client) As(token string) *Client {
	other := *c
	other.Token = token
	return &other
}

// At gives a client of the same session at another address.
func (c *Client) At(base string) *Client {
	other := *c
	other.Base = base
	return &other
}

// With gives a client that sends one more header.
func (c *Client) With(name, value string) *Client {
	other := *c
	other.Header = c.Header.Clone()
	if other.Header == nil {
		other.Header = http.Header{}
	}
	other.Header.Set(name, value)
	return &other
}

// From gives a client that connects from another address of this machine, as in 127.0.0.9.
func (c *Client) From(address string) *Client {
	other := *c
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
	transport := c.http.Transport.(*http.Transport).Clone()
	transport.DialContext = dialer.DialContext
	other.http = &http.Client{Timeout: c.http.Timeout, CheckRedirect: c.http.CheckRedirect, Transport: transport}
	return &other
}

// Reply is a whole HTTP reply.
type Reply struct {
	Status int
	Header http.Header
	Body   []byte
	Took   time.Duration
}

func (r *Reply) String() string { return fmt.Sprintf("HTTP %d: %.500s", r.Status, r.Body) }

// JSON decodes the body.
func (r *Reply) JSON(into any) error {
	if err := json.Unmarshal(r.Body, into); err != nil {
		return fmt.Errorf("%w in %s", err, r)
	}
	return nil
}

// ErrorID is the id of Mattermost's error shape, or "".
func (r *Reply) ErrorID() string {
	var body struct {
		ID string `json:"id"`
	}
	_ = json.Unmarshal(r.Body, &body)
	return body.ID
}

// Do sends a body (nil, []byte or string as it is, url.Values as a form, anything else as JSON).
func (c *Client) Do(method, path string, body any) (*Reply, error) {
	var content io.Reader
	kind := "application/json"
	switch body := body.(type) {
	case nil:
	case []byte:
		content = bytes.NewReader(body)
	case string:
		content = strings.NewReader(body)
	case url.Values:
		content, kind = strings.NewReader(body.Encode()), "application/x-www-form-urlencoded"
	default:
		encoded, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		content = bytes.NewReader(encoded)
	}
	return c.send(method, path, kind, content)
}

func (c *Client) send(method, path, kind string, content io.Reader) (*Reply, error) {
	request, err := http.NewRequest(method, c.Base+path, content)
	if err != nil {
		return nil, err
	}
	for name, values := range c.Header {
		request.Header[name] = values
		if name == "Host" {
			request.Host = values[0]
		}
	}
	if content != nil && request.Header.Get("Content-Type") == "" {
		request.Header.Set("Content-Type", kind)
	}
	if c.Token != "" {
		request.Header.Set("Authorization", "Bearer "+c.Token)
	}
	started := time.Now()
	response, err := c.http.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	read, err := io.ReadAll(response.Body)
	return &Reply{Status: response.StatusCode, Header: response.Header, Body: read, Took: time.Since(started)}, err
}

// Must is Do for a step that has to answer 2xx; it decodes the reply into into, which may be nil.
func (c *Client) Must(method, path string, body, into any) error {
	reply, err := c.Do(method, path, body)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	if reply.Status < 200 || reply.Status > 299 {
		return fmt.Errorf("%s %s: %s", method, path, reply)
	}
	if into == nil {
		return nil
	}
	return reply.JSON(into)
}

// User is an account made by the harness.
type User struct {
	ID       string `json:"id"`
	Username string `json:"username"`
	Email    string `json:"email"`
	Password string `json:"-"`
}

// Password is what every account made by CreateUser has at first.
const Password = "Correct-horse-1"

// CreateUser makes an account; locale may be empty.
func (c *Client) CreateUser(username, locale string) (*User, error) {
	user := &User{Password: Password}
	err := c.Must("POST", "/api/v4/users", map[string]string{
		"username": username, "email": username + "@example.com", "password": Password, "locale": locale,
	}, user)
	return user, err
}

// Login opens a session and gives a client that has it.
func (c *Client) Login(login, password string) (*Client, error) {
	reply, err := c.As("").Do("POST", "/api/v4/users/login", map[string]string{"login_id": login, "password": password})
	if err != nil {
		return nil, err
	}
	if reply.Status != http.StatusOK {
		return nil, &RefusedError{Reply: reply}
	}
	token := reply.Header.Get("Token")
	if token == "" {
		return nil, errors.New("a login was accepted without a session's token")
	}
	return c.As(token), nil
}

// RefusedError is a login that Mattermost refused.
type RefusedError struct{ Reply *Reply }

func (e *RefusedError) Error() string { return "the login was refused: " + e.Reply.String() }

// Setup makes the first account, which is the system admin, and gives its session.
func (c *Client) Setup() (*Client, error) {
	if _, err := c.CreateUser("admin", "en"); err != nil {
		return nil, err
	}
	return c.Login("admin", Password)
}

// Patch changes the named settings of Mattermost's configuration and no others.
func (c *Client) Patch(config map[string]any) error {
	return c.Must("PUT", "/api/v4/config/patch", config, nil)
}

// UseSMTP points Mattermost's own mail settings at a server on 127.0.0.1 that wants neither TLS nor AUTH.
func (c *Client) UseSMTP(port int) error {
	return c.Patch(map[string]any{"EmailSettings": map[string]any{
		"SMTPServer": "127.0.0.1", "SMTPPort": fmt.Sprint(port), "ConnectionSecurity": "", "EnableSMTPAuth": false,
		"SMTPUsername": "", "SMTPPassword": "", "SMTPServerTimeout": 10, "SendEmailNotifications": true,
		"FeedbackName": "Acme Chat", "FeedbackEmail": "noreply@example.com", "ReplyToAddress": "help@example.com",
	}})
}

func urlPath(address string) (string, error) {
	parsed, err := url.Parse(address)
	if err != nil {
		return "", err
	}
	return strings.TrimSuffix(parsed.Path, "/"), nil
}
