package harness

import (
	"bytes"
	"errors"
	"fmt"
	"mime/multipart"
	"os"
	"time"
)

// PluginID is the plugin's id, as plugin.json has it; Plugin is the path that its routes lie under.
const (
	PluginID = "postroom"
	Plugin   = "/plugins/" + PluginID
)

// Status is what the plugin says of itself: see outbox.Status in the server.
type Status struct {
	State      string           `json:"state"`
	Problem    string           `json:"problem"`
	Connection string           `json:"connection"`
	Counts     map[string]int64 `json:"counts"`
	FilledFor  string           `json:"filled_for"`
	Warnings   []string         `json:"warnings"`
}

// Upload installs a bundle, in place of one that is there; the client must be an admin's.
func (c *Client) Upload(bundle string) error {
	content, err := os.ReadFile(bundle)
	if err != nil {
		return err
	}
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	if err := form.WriteField("force", "true"); err != nil {
		return err
	}
	part, err := form.CreateFormFile("plugin", "postroom.tar.gz")
	if err != nil {
		return err
	}
	if _, err := part.Write(content); err != nil {
		return err
	}
	if err := form.Close(); err != nil {
		return err
	}
	reply, err := c.send("POST", "/api/v4/plugins", form.FormDataContentType(), &body)
	if err != nil {
		return err
	}
	if reply.Status != 201 {
		return fmt.Errorf("the bundle was refused: %s", reply)
	}
	return nil
}

// Enable switches the plugin on and waits until it says that it works.
func (c *Client) Enable() error {
	if err := c.Must("POST", "/api/v4/plugins/"+PluginID+"/enable", nil, nil); err != nil {
		return err
	}
	return c.WaitReady(time.Minute)
}

// Disable switches the plugin off.
func (c *Client) Disable() error {
	return c.Must("POST", "/api/v4/plugins/"+PluginID+"/disable", nil, nil)
}

// Status asks the plugin.
func (c *Client) Status() (Status, error) {
	var status Status
	err := c.Must("GET", Plugin+"/api/v1/status", nil, &status)
	return status, err
}

// WaitReady waits until the plugin says that it works.
func (c *Client) WaitReady(limit time.Duration) error {
	return Eventually(limit, func() error {
		status, err := c.Status()
		if err == nil && status.State != "working" {
			err = errors.New("the plugin is " + status.State + ": " + status.Problem)
		}
		return err
	})
}

// Settings sets the plugin's settings; those not named have their defaults.
func (c *Client) Settings(settings map[string]any) error {
	return c.Patch(map[string]any{"PluginSettings": map[string]any{"Plugins": map[string]any{PluginID: settings}}})
}

// Mail is a mail as the admin's view shows it.
type Mail struct {
	ID            string     `json:"id"`
	Kind          string     `json:"kind"`
	State         string     `json:"state"`
	MaskedTo      string     `json:"masked_to"`
	MessageID     string     `json:"message_id"`
	QueuedAt      time.Time  `json:"queued_at"`
	ExpiresAt     time.Time  `json:"expires_at"`
	NextAttemptAt *time.Time `json:"next_attempt_at"`
	FinishedAt    *time.Time `json:"finished_at"`
	Attempts      int        `json:"attempts"`
	ReplyCode     int        `json:"reply_code"`
	Enhanced      string     `json:"enhanced"`
	ReplyText     string     `json:"reply_text"`
	Reason        string     `json:"reason"`
	Connection    string     `json:"connection"`
	Body          string     `json:"body"`
}

// Mails gives the newest mails of the outbox.
func (c *Client) Mails() ([]Mail, error) {
	var page struct {
		Mails []Mail `json:"mails"`
	}
	err := c.Must("GET", Plugin+"/api/v1/mails", nil, &page)
	return page.Mails, err
}

// RequestReset asks for a link to a new password, as any client would.
func (c *Client) RequestReset(address string) (*Reply, error) {
	return c.Do("POST", c.api()+"/users/password/reset/send", map[string]string{"email": address})
}

// RequestVerification asks for a link that verifies the address.
func (c *Client) RequestVerification(address string) (*Reply, error) {
	return c.Do("POST", c.api()+"/users/email/verify/send", map[string]string{"email": address})
}

// api is where the three routes lie for this client.
func (c *Client) api() string {
	if c.OwnRoutes {
		return "/api/v4"
	}
	return Plugin + "/api/v4"
}
