package harness

import (
	"fmt"
	"strings"
)

// Correspondence causes what Mattermost mails by itself, of every kind that is easily caused, one after the other, to
// accounts of its own.
type Correspondence struct {
	// Client is nobody's, Admin a system admin's, of the same server.
	Client, Admin *Client
	// Team is a team's id; what is mentioned is mentioned in its town square.
	Team string
	// Name is that of the account to be made, Other that of a second; their addresses are at example.com.
	Name, Other string
	Locale      string
	// Quoted is a text that stands in the mention, and so in the notification's mail.
	Quoted string
	// Caused is called as soon as each mail was caused; the next is caused when it returns nil.
	Caused func(kind, to string) error

	address, password string
	account           *User
	session           *Client
}

// NewTeam makes one and lets Mattermost mail whatever it may.
func (c *Client) NewTeam(name string) (id string, err error) {
	if err := c.Patch(map[string]any{
		"EmailSettings":   map[string]any{"EnableEmailBatching": false},
		"TeamSettings":    map[string]any{"SiteName": "Acme Chat", "EnableOpenServer": true},
		"ServiceSettings": map[string]any{"EnableEmailInvitations": true, "EnableUserAccessTokens": true},
	}); err != nil {
		return "", err
	}
	var team struct {
		ID string `json:"id"`
	}
	err = c.Must("POST", "/api/v4/teams", map[string]string{"name": name, "display_name": "Crew", "type": "O"}, &team)
	return team.ID, err
}

// Run causes them all.
func (c *Correspondence) Run() error {
	c.address, c.password = c.Name+"@example.com", Password
	for _, step := range []func() error{
		c.welcome, c.reset, c.passwordChange, c.usernameChange, c.invite, c.mention, c.emailChange, c.welcomeUnverified, c.verify,
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func (c *Correspondence) cause(kind, to string, client *Client, method, path string, body any) error {
	if err := client.Must(method, path, body, nil); err != nil {
		return fmt.Errorf("%s: %w", kind, err)
	}
	return c.Caused(kind, to)
}

func (c *Correspondence) verification(required bool) error {
	return c.Admin.Patch(map[string]any{"EmailSettings": map[string]any{"RequireEmailVerification": required}})
}

func (c *Correspondence) welcome() (err error) {
	if err := c.verification(false); err != nil {
		return err
	}
	if c.account, err = c.Client.CreateUser(c.Name, c.Locale); err != nil {
		return err
	}
	if c.session, err = c.Client.Login(c.Name, c.password); err != nil {
		return err
	}
	return c.Caused("welcome", c.address)
}

func (c *Correspondence) reset() error {
	return c.cause("reset", c.address, c.Client, "POST", "/api/v4/users/password/reset/send", map[string]string{"email": c.address})
}

func (c *Correspondence) passwordChange() (err error) {
	next := Password + "2"
	if err := c.cause("password_change", c.address, c.session, "PUT", "/api/v4/users/me/password",
		map[string]string{"current_password": c.password, "new_password": next}); err != nil {
		return err
	}
	c.password = next
	c.session, err = c.Client.Login(c.Name, next)
	return err
}

func (c *Correspondence) usernameChange() error {
	return c.cause("username_change", c.address, c.session, "PUT", "/api/v4/users/me/patch", map[string]string{"username": c.Name + ".b"})
}

// invite has the server's default language for one who has no account.
func (c *Correspondence) invite() error {
	if err := c.Admin.Patch(map[string]any{"LocalizationSettings": map[string]any{"DefaultServerLocale": c.Locale}}); err != nil {
		return err
	}
	guest := "guest." + c.Name + "@example.com"
	return c.cause("invitation", guest, c.Admin, "POST", "/api/v4/teams/"+c.Team+"/invite/email", []string{guest})
}

func (c *Correspondence) mention() error {
	id := c.account.ID
	if err := c.Admin.Must("POST", "/api/v4/teams/"+c.Team+"/members", map[string]string{"team_id": c.Team, "user_id": id}, nil); err != nil {
		return err
	}
	if err := c.Admin.Must("PUT", "/api/v4/users/"+id+"/status", map[string]string{"user_id": id, "status": "offline"}, nil); err != nil {
		return err
	}
	var channel struct {
		ID string `json:"id"`
	}
	if err := c.Admin.Must("GET", "/api/v4/teams/"+c.Team+"/channels/name/town-square", nil, &channel); err != nil {
		return err
	}
	post := map[string]string{"channel_id": channel.ID, "message": "Hello @" + c.Name + ".b, **please** open " + c.Quoted}
	return c.cause("notification", c.address, c.Admin, "POST", "/api/v4/posts", post)
}

func (c *Correspondence) emailChange() error {
	if err := c.verification(true); err != nil {
		return err
	}
	next := strings.Replace(c.address, "@", ".new@", 1)
	return c.cause("email_change_verify", next, c.session, "PUT", "/api/v4/users/me/patch", map[string]string{"email": next, "password": c.password})
}

func (c *Correspondence) welcomeUnverified() error {
	if _, err := c.Client.CreateUser(c.Other, c.Locale); err != nil {
		return err
	}
	return c.Caused("welcome_unverified", c.Other+"@example.com")
}

func (c *Correspondence) verify() error {
	other := c.Other + "@example.com"
	return c.cause("verify", other, c.Client, "POST", "/api/v4/users/email/verify/send", map[string]string{"email": other})
}
