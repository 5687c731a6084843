// Package core names the operations of the Rust core and the shapes they take and give, as wasm/README.md
// lists them. It holds no logic: the engine calls the operations, the core decides.
package core

// Account is what the core needs to know of a row of Mattermost's users table. PasswordStamp is
// users.lastpasswordupdate, in milliseconds since the epoch.
type Account struct {
	ID            string `json:"id"`
	Email         string `json:"email"`
	Username      string `json:"username"`
	Locale        string `json:"locale"`
	AuthService   string `json:"auth_service"`
	HasAuthData   bool   `json:"has_auth_data"`
	Remote        bool   `json:"remote"`
	Guest         bool   `json:"guest"`
	Deleted       bool   `json:"deleted"`
	EmailVerified bool   `json:"email_verified"`
	PasswordStamp int64  `json:"password_stamp"`
}

// TokenRow is a live token, less its digest. ExpiresAt is in milliseconds since the epoch; Replaces is the account's
// present address where the link verifies a pending one, else nil.
type TokenRow struct {
	Purpose       string  `json:"purpose"`
	AccountID     string  `json:"account_id"`
	Address       string  `json:"address"`
	Replaces      *string `json:"replaces"`
	PasswordStamp int64   `json:"password_stamp"`
	ExpiresAt     int64   `json:"expires_at"`
	Redirect      *string `json:"redirect"`
}

// Site is what mails and pages say of the server. URL is Mattermost's SiteURL.
type Site struct {
	URL              string `json:"url"`
	Name             string `json:"name"`
	DefaultLocale    string `json:"default_locale"`
	SupportEmail     string `json:"support_email"`
	FromAddress      string `json:"from_address"`
	FromName         string `json:"from_name"`
	ReplyTo          string `json:"reply_to"`
	ResetLifetimeMS  int64  `json:"reset_lifetime_ms"`
	VerifyLifetimeMS int64  `json:"verify_lifetime_ms"`
}

// Connection is one upstream server and how to speak to it. Password and what is secret in OAuth are secret.
type Connection struct {
	Name              string   `json:"name"` // mattermost, primary, fallback
	Server            string   `json:"server"`
	Port              int      `json:"port"`
	Security          string   `json:"security"` // none, starttls, tls
	VerifyCertificate bool     `json:"verify_certificate"`
	MinTLS            string   `json:"min_tls"` // 1.2, 1.3
	CA                string   `json:"ca"`      // PEM, trusted besides the machine's own
	Pin               string   `json:"pin"`     // SHA-256 of the server's SubjectPublicKeyInfo in hex; empty for any
	EHLOName          string   `json:"ehlo_name"`
	EnvelopeSender    string   `json:"envelope_sender"` // in place of the mail's own; empty for that one
	Auth              []string `json:"auth"`            // plain login cram_md5 scram_sha_256 xoauth2, the preferred first; none: no AUTH
	Username          string   `json:"username"`
	Password          string   `json:"password"`
	OAuth             *OAuth   `json:"oauth"`
	TimeoutMS         int64    `json:"timeout_ms"`
}

// OAuth is where an access token comes from: by the refresh token where there is one, else by client credentials.
// ClientSecret and RefreshToken are secret.
type OAuth struct {
	TokenURL     string `json:"token_url"`
	ClientID     string `json:"client_id"`
	ClientSecret string `json:"client_secret"`
	RefreshToken string `json:"refresh_token"`
	Scope        string `json:"scope"`
}

// Reply is what an SMTP server answered (RFC 5321, 4.2); Text has a line for each of a multi-line reply.
type Reply struct {
	Code int    `json:"code"`
	Text string `json:"text"`
}

// Outcome is how far an SMTP conversation came, as facts. Reply is nil where the peer said nothing.
type Outcome struct {
	Step    string  `json:"step"`
	Reply   *Reply  `json:"reply"`
	Failure *string `json:"failure"`
	Detail  string  `json:"detail"`
}

// Accepted is whether the server took the mail over: the one outcome that is a success (wasm/README.md).
func (o Outcome) Accepted() bool {
	return o.Step == "final_dot" && o.Failure == nil && o.Reply != nil && o.Reply.Code/100 == 2
}

// AppError is Mattermost's error body. RequestID is the only member that the core does not give.
type AppError struct {
	Status        int    `json:"status"`
	ID            string `json:"id"`
	Message       string `json:"message"`
	DetailedError string `json:"detailed_error"`
}

// Page is a complete page to be sent as it is.
type Page struct {
	Status  int               `json:"status"`
	Headers map[string]string `json:"headers"`
	HTML    string            `json:"html"`
}
