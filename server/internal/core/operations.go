package core

import (
	"encoding/base64"
	"encoding/json"
)

// The operations of wasm/README.md, each with its arguments and its result. Times are milliseconds since the epoch.
const (
	OpSelfTest             = "self_test"
	OpReadRequest          = "read_request"
	OpClientKey            = "client_key"
	OpLimit                = "limit"
	OpPrepare              = "prepare"
	OpComposeTest          = "compose_test"
	OpReadTest             = "read_test"
	OpMattermostConnection = "mattermost_connection"
	OpTestReply            = "test_reply"
	OpJudge                = "judge"
	OpKey                  = "key"
	OpOpen                 = "open"
	OpDigestToken          = "digest_token"
	OpShowLanding          = "show_landing"
	OpReadForm             = "read_form"
	OpRedeem               = "redeem"
	OpRedeemOutcome        = "redeem_outcome"
	OpPage                 = "page"
	OpAppError             = "app_error"
)

// Bytes travel as standard padded base64. Unlike []byte, which encoding/json makes null when it is nil, none is "".
type Bytes []byte

// MarshalJSON writes base64.
func (b Bytes) MarshalJSON() ([]byte, error) {
	out := make([]byte, 0, base64.StdEncoding.EncodedLen(len(b))+2)
	out = append(out, '"')
	out = base64.StdEncoding.AppendEncode(out, b)
	return append(out, '"'), nil
}

// ReadRequestArgs is what a public endpoint was sent. Endpoint is "reset" or "verify".
type ReadRequestArgs struct {
	Endpoint      string  `json:"endpoint"`
	Body          Bytes   `json:"body"`
	TooLarge      bool    `json:"too_large"`
	Redirect      *string `json:"redirect"`
	ClientAddress string  `json:"client_address"`
}

// ReadRequestResult has either a Request or an AppError.
type ReadRequestResult struct {
	Request   *MailRequest `json:"request"`
	AppError  *AppError    `json:"app_error"`
	ClientKey string       `json:"client_key"`
}

// MailRequest is a request that may be enqueued.
type MailRequest struct {
	Email    string  `json:"email"`
	Redirect *string `json:"redirect"`
}

// ClientKeyArgs asks whom a limit counts.
type ClientKeyArgs struct {
	ClientAddress string `json:"client_address"`
}

// ClientKeyResult is as in ReadRequestResult.
type ClientKeyResult struct {
	ClientKey string `json:"client_key"`
}

// Rule is one limit; TATMS is GCRA's theoretical arrival time as stored, nil at first.
type Rule struct {
	Name      string `json:"name"`
	PerWindow int64  `json:"per_window"`
	WindowMS  int64  `json:"window_ms"`
	TATMS     *int64 `json:"tat_ms"`
}

// LimitArgs asks whether one request may pass all rules.
type LimitArgs struct {
	Rules []Rule `json:"rules"`
}

// LimitResult has the new times in the rules' order.
type LimitResult struct {
	Allowed   bool     `json:"allowed"`
	LimitedBy *string  `json:"limited_by"`
	TATMS     []*int64 `json:"tat_ms"`
	RetryAt   *int64   `json:"retry_at"`
}

// PrepareArgs is all that an account mail is made of. Key is secret.
type PrepareArgs struct {
	Kind        string       `json:"kind"`
	RequestedAt int64        `json:"requested_at"`
	Account     *Account     `json:"account"`
	Redirect    *string      `json:"redirect"`
	Previous    *Previous    `json:"previous"`
	Limit       AccountLimit `json:"limit"`
	Site        Site         `json:"site"`
	Key         string       `json:"key"`
}

// Previous is the account's live token of the same purpose.
type Previous struct {
	RequestedAt int64 `json:"requested_at"`
}

// AccountLimit is LimitAccountPerHour and its stored time.
type AccountLimit struct {
	PerHour int64  `json:"per_hour"`
	TATMS   *int64 `json:"tat_ms"`
}

// PrepareResult is a decision; Token and Mail are set when it is "mail", Reason when it is "skip".
type PrepareResult struct {
	Decision   string      `json:"decision"`
	Reason     *string     `json:"reason"`
	LimitTATMS *int64      `json:"limit_tat_ms"`
	Token      *Token      `json:"token"`
	Mail       *SealedMail `json:"mail"`
	Warnings   []string    `json:"warnings"`
}

// Token is what is stored of a minted token.
type Token struct {
	Digest    Bytes  `json:"digest"`
	Address   string `json:"address"`
	ExpiresAt int64  `json:"expires_at"`
}

// SealedMail is a mail as the outbox keeps it. Size is the message's octets before sealing.
type SealedMail struct {
	ID        string `json:"id"`
	MessageID string `json:"message_id"`
	MaskedTo  string `json:"masked_to"`
	Locale    string `json:"locale"`
	Size      int    `json:"size"`
	Sealed    Bytes  `json:"sealed"`
	KeyID     string `json:"key_id"`
	ExpiresAt int64  `json:"expires_at"`
	To        string `json:"to"` // the envelope recipient
	Clear     *Clear `json:"clear"`
}

// Clear is what a sealed mail holds, but for its recipient: for its first sender, which need not open it then. It is
// nil for a large mail. Secret, never stored.
type Clear struct {
	EnvelopeFrom string `json:"envelope_from"`
	Message      Bytes  `json:"message"`
}

// For is the mail as `open` gives it, for one recipient; nil for nil.
func (c *Clear) For(to string) *OpenResult {
	if c == nil {
		return nil
	}
	return &OpenResult{EnvelopeFrom: c.EnvelopeFrom, EnvelopeTo: to, Message: c.Message}
}

// ComposeTestArgs asks for the test mail.
type ComposeTestArgs struct {
	To     string `json:"to"`
	Locale string `json:"locale"`
	Site   Site   `json:"site"`
}

// ComposeTestResult is the test mail, ready to be sent.
type ComposeTestResult struct {
	ID           string `json:"id"`
	MessageID    string `json:"message_id"`
	MaskedTo     string `json:"masked_to"`
	Locale       string `json:"locale"`
	Size         int    `json:"size"`
	EnvelopeFrom string `json:"envelope_from"`
	EnvelopeTo   string `json:"envelope_to"`
	Message      Bytes  `json:"message"`
}

// ReadTestArgs is what email/test was sent. Current is Mattermost's own EmailSettings.
type ReadTestArgs struct {
	Body     Bytes           `json:"body"`
	TooLarge bool            `json:"too_large"`
	Current  json.RawMessage `json:"current"`
}

// ReadTestResult has either a Connection and a From, or an AppError.
type ReadTestResult struct {
	Connection *Connection `json:"connection"`
	From       *From       `json:"from"`
	AppError   *AppError   `json:"app_error"`
}

// From is who the test mail is from; empty members mean the site's defaults.
type From struct {
	FromAddress string `json:"from_address"`
	FromName    string `json:"from_name"`
	ReplyTo     string `json:"reply_to"`
}

// MattermostConnectionArgs asks for the saved settings as a connection.
type MattermostConnectionArgs struct {
	Settings json.RawMessage `json:"settings"`
}

// MattermostConnectionResult has no Connection where no server is set.
type MattermostConnectionResult struct {
	Connection *Connection `json:"connection"`
}

// TestReplyArgs asks for email/test's answer. Cancelled: somebody broke the test off.
type TestReplyArgs struct {
	Outcome   Outcome    `json:"outcome"`
	Diagnosis *Diagnosis `json:"diagnosis"`
	Cancelled bool       `json:"cancelled"`
}

// AppErrorResult is nil inside where all went well.
type AppErrorResult struct {
	AppError *AppError `json:"app_error"`
}

// JudgeArgs asks what an outcome means. Attempts counts this one.
type JudgeArgs struct {
	Outcome   Outcome `json:"outcome"`
	Kind      string  `json:"kind"`
	Attempts  int     `json:"attempts"`
	ExpiresAt int64   `json:"expires_at"`
	// Perhaps says that an earlier attempt broke off where the server may have had the mail.
	Perhaps bool `json:"perhaps"`
	// Connection and TLS are for the advice in the reason; nil where they are not known.
	Connection *ShownConnection `json:"connection"`
	TLS        *TLSFacts        `json:"tls"`
}

// JudgeResult is a mail's next state; NextAttemptAt is set when it is tried again.
type JudgeResult struct {
	State         string  `json:"state"`
	NextAttemptAt *int64  `json:"next_attempt_at"`
	Code          *int    `json:"code"`
	Enhanced      *string `json:"enhanced"`
	Text          string  `json:"text"`
	Reason        string  `json:"reason"`
}

// KeyArgs holds the AtRestEncryptKey, which is secret.
type KeyArgs struct {
	Key string `json:"key"`
}

// KeyResult names a key without telling it.
type KeyResult struct {
	KeyID string `json:"key_id"`
}

// OpenArgs asks for a sealed mail's content.
type OpenArgs struct {
	Key    string `json:"key"`
	MailID string `json:"mail_id"`
	Sealed Bytes  `json:"sealed"`
}

// OpenResult is a mail in clear: secret, as it may hold a token.
type OpenResult struct {
	EnvelopeFrom string `json:"envelope_from"`
	EnvelopeTo   string `json:"envelope_to"`
	Message      Bytes  `json:"message"`
}

// DigestTokenArgs holds a token, which is secret.
type DigestTokenArgs struct {
	Token string `json:"token"`
}

// DigestTokenResult is the SHA-256 by which a token is found.
type DigestTokenResult struct {
	Digest Bytes `json:"digest"`
}

// LandingArgs is for show_landing and redeem. Token is secret.
type LandingArgs struct {
	Purpose        string    `json:"purpose"`
	Token          string    `json:"token"`
	Row            *TokenRow `json:"row"`
	Account        *Account  `json:"account"`
	Site           Site      `json:"site"`
	AcceptLanguage string    `json:"accept_language"`
}

// ShowLandingResult says in State why a link is not Usable.
type ShowLandingResult struct {
	Usable bool   `json:"usable"`
	State  string `json:"state"`
	Page   Page   `json:"page"`
}

// RedeemResult has a Page when it does not Proceed.
type RedeemResult struct {
	Proceed bool   `json:"proceed"`
	Page    *Page  `json:"page"`
	Locale  string `json:"locale"`
}

// ReadFormArgs is a landing page's POST. Body is secret.
type ReadFormArgs struct {
	Purpose        string `json:"purpose"`
	Body           Bytes  `json:"body"`
	TooLarge       bool   `json:"too_large"`
	Site           Site   `json:"site"`
	AcceptLanguage string `json:"accept_language"`
}

// ReadFormResult has either a Form or a Page.
type ReadFormResult struct {
	Form *Form `json:"form"`
	Page *Page `json:"page"`
}

// Form is what the person sent. Token and NewPassword are secret.
type Form struct {
	Token       string  `json:"token"`
	Digest      Bytes   `json:"digest"`
	NewPassword *string `json:"new_password"`
}

// RedeemOutcomeArgs is what Mattermost answered; Reply is nil where it did not.
type RedeemOutcomeArgs struct {
	Purpose        string     `json:"purpose"`
	Token          string     `json:"token"`
	Reply          *HTTPReply `json:"reply"`
	Row            TokenRow   `json:"row"`
	Account        *Account   `json:"account"`
	Site           Site       `json:"site"`
	AcceptLanguage string     `json:"accept_language"`
}

// HTTPReply is an answer of Mattermost's own API.
type HTTPReply struct {
	Status int   `json:"status"`
	Body   Bytes `json:"body"`
}

// RedeemOutcomeResult is "done", "refused", "retry" or "unknown".
type RedeemOutcomeResult struct {
	Result string `json:"result"`
	Page   Page   `json:"page"`
}

// PageArgs asks for one of the plain pages; Site may be nil.
type PageArgs struct {
	Page           string `json:"page"`
	Site           *Site  `json:"site"`
	AcceptLanguage string `json:"accept_language"`
}

// PageResult is a page to be sent as it is.
type PageResult struct {
	Page Page `json:"page"`
}

// AppErrorArgs asks for one of the plain errors. RetryAt is for tests_busy: when there is room at the latest.
type AppErrorArgs struct {
	Error   string `json:"error"`
	RetryAt *int64 `json:"retry_at"`
}
