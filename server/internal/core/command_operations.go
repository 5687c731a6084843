package core

import "encoding/json"

// OpCommand is the slash command.
const OpCommand = "command"

// What CommandResult.Ask says.
const (
	AskStatus = "status"
	AskMails  = "mails"
	AskResend = "resend"
	AskTest   = "test"
)

// CommandArgs is what was typed; nil asks for the registration. Facts are nil before anything was looked up.
type CommandArgs struct {
	Text       *string       `json:"text"`
	Restricted bool          `json:"restricted"`
	Facts      *CommandFacts `json:"facts"`
}

// CommandFacts is what was looked up: one of these.
type CommandFacts struct {
	Status      *CommandStatus `json:"status,omitempty"`
	Mails       *CommandMails  `json:"mails,omitempty"`
	Resend      *CommandResend `json:"resend,omitempty"`
	Test        *CommandTest   `json:"test,omitempty"`
	Unavailable *struct{}      `json:"unavailable,omitempty"` // the database is out of reach
}

// CommandStatus is how Postroom does. Counts, AccountMail and Incidents are nil where the database is out of reach.
type CommandStatus struct {
	State       string              `json:"state"` // the outbox's
	Problem     string              `json:"problem"`
	Warnings    []string            `json:"warnings"`
	Counts      map[string]int64    `json:"counts"`
	Connections []CommandConnection `json:"connections"`
	Relay       CommandRelay        `json:"relay"`
	AccountMail *CommandAccountMail `json:"account_mail"`
	Incidents   []CommandIncident   `json:"incidents"`
}

// CommandConnection is a connection at a glance. Times are in milliseconds since the epoch.
type CommandConnection struct {
	Name   string `json:"name"`
	Server string `json:"server"` // host:port, or empty
	State  string `json:"state"`  // ok paused failing unused, or empty
	Reason string `json:"reason"`
	Since  *int64 `json:"since"`
	Active bool   `json:"active"`
}

// CommandRelay is the relay at a glance.
type CommandRelay struct {
	Enabled bool   `json:"enabled"`
	Healthy bool   `json:"healthy"`
	Problem string `json:"problem"`
}

// CommandAccountMail is AccountMail without the reason.
type CommandAccountMail struct {
	Oldest  *int64 `json:"oldest"`
	Waiting int64  `json:"waiting"`
}

// CommandIncident is one that is open.
type CommandIncident struct {
	Kind     string `json:"kind"`
	Key      string `json:"key"`
	OpenedAt int64  `json:"opened_at"`
}

// CommandMails are the newest mails.
type CommandMails struct {
	Newest []CommandMail `json:"newest"`
}

// CommandMail is a line of the list.
type CommandMail struct {
	ID       string `json:"id"`
	Kind     string `json:"kind"`
	State    string `json:"state"`
	MaskedTo string `json:"masked_to"`
	QueuedAt int64  `json:"queued_at"`
	Reason   string `json:"reason"`
}

// CommandResend is what became of it: Found is how many mails' ids begin as was typed.
type CommandResend struct {
	Found   int    `json:"found"`
	Refused string `json:"refused"`
	MailID  string `json:"mail_id"`
}

// CommandTest is what a test came to; Error is "" where the mail was accepted.
type CommandTest struct {
	Connection string  `json:"connection"`
	Error      string  `json:"error"`
	Steps      []Step  `json:"steps"`
	SentTo     string  `json:"sent_to"`
	QueueID    *string `json:"queue_id"`
}

// CommandResult is an answer, or what to look up for one. Words are link.CommandWords.
type CommandResult struct {
	Words json.RawMessage `json:"words"`
	Ask   *string         `json:"ask"`
	ID    string          `json:"id"`
	Text  *string         `json:"text"`
}
