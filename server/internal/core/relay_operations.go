package core

// The relay's operations.
const (
	OpTakeMail = "take_mail"

	OpComposeOrphaned = "compose_orphaned"
)

// TakeMailArgs is the mail again, with what was looked up. Message and Key are secret.
type TakeMailArgs struct {
	Message      Bytes     `json:"message"`
	EnvelopeFrom string    `json:"envelope_from"`
	EnvelopeTo   []string  `json:"envelope_to"`
	Site         Site      `json:"site"`
	Key          string    `json:"key"`
	Facts        MailFacts `json:"facts"`
}

// MailFacts is what was looked up: Account by the envelope's one recipient, TokenRow by Token, Owner by the row's UserID, and Subjects from the server's own translations for the account's locale, by kind.
type MailFacts struct {
	Account  *Account          `json:"account"`
	Token    *string           `json:"token"`
	TokenRow *MattermostToken  `json:"token_row"`
	Owner    *Account          `json:"owner"`
	Subjects map[string]string `json:"subjects"`
	// Previous is Owner's live link of the kind that the mail's would be, Limit how many such links Owner may be mailed.
	Previous *PreviousLink `json:"previous"`
	Limit    *AccountLimit `json:"limit"`
}

// PreviousLink is a live link, and the address that it was mailed to.
type PreviousLink struct {
	RequestedAt int64  `json:"requested_at"`
	Address     string `json:"address"`
}

// MattermostToken is a row of Mattermost's own tokens table, less the token. Type is "password_recovery" or
// "verify_email"; UserID and Email are from its extra, CreatedAt in milliseconds since the epoch.
type MattermostToken struct {
	Type      string `json:"type"`
	UserID    string `json:"user_id"`
	Email     string `json:"email"`
	CreatedAt int64  `json:"created_at"`
}

// TakeMailResult is either: LookUp is a token, secret, whose row must be known before the mail can be taken.
type TakeMailResult struct {
	LookUp *string `json:"look_up"`
	Taken  *Taken  `json:"taken"`
}

// Taken is what the mail is and what is sent in its place. With TakeToken the row is to be taken out of
// Mattermost's table in the transaction that writes Token and the mail; without it Token is nil. Where HeldBack is
// set, Token is nil too and nothing is sealed: the mail is listed and not sent, and the link before it lives on.
type Taken struct {
	Kind       string            `json:"kind"`
	Class      string            `json:"class"`
	TakeToken  bool              `json:"take_token"`
	Token      *TakenToken       `json:"token"`
	LimitTATMS *int64            `json:"limit_tat_ms"`
	HeldBack   *HeldBack         `json:"held_back"`
	Mail       TakenMail         `json:"mail"`
	Recipients []SealedRecipient `json:"recipients"`
	Clear      *Clear            `json:"clear"`
	Notes      []string          `json:"notes"`
}

// HeldBack is why a link is not mailed: Why is "repeat" or "account_limited", Reason the same in words.
type HeldBack struct {
	Why    string `json:"why"`
	Reason string `json:"reason"`
}

// TakenToken is what is stored of the token that replaces Mattermost's. Replaces is the account's present address
// where the mail verifies a pending new one, else nil.
type TakenToken struct {
	Digest        Bytes   `json:"digest"`
	Purpose       string  `json:"purpose"`
	AccountID     string  `json:"account_id"`
	Address       string  `json:"address"`
	Replaces      *string `json:"replaces"`
	PasswordStamp int64   `json:"password_stamp"`
	Redirect      *string `json:"redirect"`
	ExpiresAt     int64   `json:"expires_at"`
}

// TakenMail is what the rows of one mail share. Size is the message's octets before sealing; ID is the first
// recipient's.
type TakenMail struct {
	ID        string `json:"id"`
	MessageID string `json:"message_id"`
	Locale    string `json:"locale"`
	Size      int    `json:"size"`
	KeyID     string `json:"key_id"`
	ExpiresAt int64  `json:"expires_at"`
}

// SealedRecipient is one row of the outbox: Sealed opens with this ID.
type SealedRecipient struct {
	ID       string `json:"id"`
	To       string `json:"to"` // the envelope recipient
	MaskedTo string `json:"masked_to"`
	Sealed   Bytes  `json:"sealed"`
}

// ComposeOrphanedArgs is the mail to an admin when the relay's plugin is gone. Since is in milliseconds since the epoch;
// Original is nil where it is not known. Key is secret.
type ComposeOrphanedArgs struct {
	To       string            `json:"to"`
	Locale   string            `json:"locale"`
	Since    int64             `json:"since"`
	Original *OriginalSettings `json:"original"`
	Site     Site              `json:"site"`
	Key      string            `json:"key"`
}

// OriginalSettings are Mattermost's own from before the relay, in its words. The password is none of them.
type OriginalSettings struct {
	Server           string `json:"server"`
	Port             string `json:"port"`
	Security         string `json:"security"`
	Auth             bool   `json:"auth"`
	Username         string `json:"username"`
	SkipVerification bool   `json:"skip_verification"`
}

// ComposeOrphanedResult is that mail, sealed.
type ComposeOrphanedResult struct {
	ID        string `json:"id"`
	MessageID string `json:"message_id"`
	MaskedTo  string `json:"masked_to"`
	Locale    string `json:"locale"`
	Size      int    `json:"size"`
	Sealed    Bytes  `json:"sealed"`
	KeyID     string `json:"key_id"`
	ExpiresAt int64  `json:"expires_at"`
}
