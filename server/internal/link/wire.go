package link

import "encoding/json"

// Headers by which the shim tells the service who is asking. The shim removes them from what it is sent.
const (
	HeaderUserID        = "Postroom-User-Id"        // the session's user, "" for nobody
	HeaderClientAddress = "Postroom-Client-Address" // as Mattermost's proxy settings see it
	HeaderRequestID     = "Postroom-Request-Id"
	HeaderAdmin         = "Postroom-Admin"     // "1": the user has manage_system; of the routes that ask
	HeaderTooLarge      = "Postroom-Too-Large" // "1": the body was over the route's limit and was left out
	// HeaderAudit comes back from the service: an Audit as JSON, to be written and not passed on.
	HeaderAudit = "Postroom-Audit"
	// HeaderSwitch comes back from the service: a Switch as JSON, to be carried out before the answer is given.
	HeaderSwitch = "Postroom-Switch"
)

// Paths on the service's socket. What comes from outside is always under PathOutside, so no request of a
// client's can name the others.
const (
	PathOutside  = "/outside"
	PathHello    = "/shim/hello"
	PathSettings = "/shim/settings"
	PathStream   = "/shim/stream"
	PathDone     = "/shim/done"
	PathEnd      = "/shim/end"
	PathSwitched = "/shim/switched"
	PathOff      = "/shim/off"
	PathMetrics  = "/shim/metrics"
	PathSupport  = "/shim/support"
	// PathDeactivated is told the id of an account that was deactivated, as the body.
	PathDeactivated = "/shim/deactivated"
	// PathCommand gives the slash command to be registered, a CommandWords, and takes a Command that was typed.
	PathCommand = "/shim/command"
)

// Handover is what the shim gives a service at its start, as JSON over a pipe: it holds secrets.
type Handover struct {
	Build string `json:"build"`
	// Version is the plugin's, Restarts how often the service was started again since the plugin was enabled.
	Version  string `json:"version"`
	Restarts int    `json:"restarts"`

	Server Process `json:"server"`
	Dir    string  `json:"dir"`
	Wasm   string  `json:"wasm"`
	// ServerDir is the folder that the Mattermost server runs from, with its translations.
	ServerDir string `json:"server_dir"`
	// HasRelay: file descriptor 4 is the relay's listening socket, held by the shim meanwhile.
	HasRelay bool            `json:"has_relay"`
	Settings json.RawMessage `json:"settings"`
}

// Ready is the service's one answer to it, on file descriptor 3. Error is in words for an admin.
type Ready struct {
	OK    bool   `json:"ok"`
	Error string `json:"error,omitempty"`
}

// Hello is how a running service introduces itself.
type Hello struct {
	Build   string  `json:"build"`
	Process Process `json:"process"`
	Server  Process `json:"server"`
	// Restarts as its Handover said.
	Restarts int `json:"restarts"`
}

// Line is one line of the stream from the service to the shim; an empty one is a sign of life.
type Line struct {
	Log  *LogRecord `json:"log,omitempty"`
	Acts []Act      `json:"acts,omitempty"`
	// Relay: the relay's socket or the way back has changed and is to be fetched.
	Relay bool `json:"relay,omitempty"`
	// Switch is to be carried out, and its outcome reported.
	Switch *Switch `json:"switch,omitempty"`
	// Aside is shown to one user.
	Aside *Aside `json:"aside,omitempty"`
}

// LogRecord is a line of the service's log, to be written to Mattermost's.
type LogRecord struct {
	Level   string `json:"level"` // debug info warn error
	Message string `json:"message"`
	Fields  []any  `json:"fields,omitempty"` // key, value, key, value…
}

// Act is something only the plugin API can do. It is offered again until the shim has said Done with its ID.
type Act struct {
	ID      int64    `json:"id"`
	Audit   *Audit   `json:"audit,omitempty"`
	Message *Message `json:"message,omitempty"`
}

// Message is for every system admin, from the plugin's bot, as Markdown.
type Message struct {
	Text string `json:"text"`
}

// Aside is what one user alone sees in a channel, until they reload it, as Markdown.
type Aside struct {
	UserID    string `json:"user_id"`
	ChannelID string `json:"channel_id"`
	Text      string `json:"text"`
}

// CommandWords are the slash command as it is registered.
type CommandWords struct {
	Trigger     string           `json:"trigger"`
	Title       string           `json:"title"`
	Hint        string           `json:"hint"`
	Help        string           `json:"help"`
	Subcommands []SubcommandHelp `json:"subcommands"`
}

// SubcommandHelp is one of its words; Argument is nil where it takes none.
type SubcommandHelp struct {
	Name     string        `json:"name"`
	Hint     string        `json:"hint"`
	Help     string        `json:"help"`
	Argument *ArgumentHelp `json:"argument"`
}

// ArgumentHelp is what a subcommand takes.
type ArgumentHelp struct {
	Hint string `json:"hint"`
	Help string `json:"help"`
}

// Command is what a system admin typed. Restricted: RestrictSystemAdmin is on.
type Command struct {
	Text       string `json:"text"` // all of it, "/postroom status"
	UserID     string `json:"user_id"`
	ChannelID  string `json:"channel_id"`
	Address    string `json:"address"`
	RequestID  string `json:"request_id"`
	UserAgent  string `json:"user_agent"`
	Restricted bool   `json:"restricted"`
}

// CommandReply is shown to whoever typed it, as Markdown.
type CommandReply struct {
	Text  string `json:"text"`
	Audit *Audit `json:"audit,omitempty"`
}

// Audit is a record for Mattermost's audit log: who asked, from where, what was decided.
type Audit struct {
	Event   string            `json:"event"`
	Success bool              `json:"success"`
	UserID  string            `json:"user_id,omitempty"`
	Address string            `json:"address,omitempty"`
	Path    string            `json:"path,omitempty"`
	Params  map[string]string `json:"params,omitempty"`
}

// Done names the acts that have been carried out.
type Done struct {
	IDs []int64 `json:"ids"`
}

// EmailSettings are the seven of Mattermost's settings that decide where its mail goes, by Mattermost's own names.
// They are all that a Switch can name. SMTPPassword is secret.
type EmailSettings struct {
	SMTPServer                        string
	SMTPPort                          string
	ConnectionSecurity                string
	EnableSMTPAuth                    bool
	SMTPUsername                      string
	SMTPPassword                      string
	SkipServerCertificateVerification bool
}

// Switch points Mattermost's mail at the relay, or back to where it went before.
type Switch struct {
	On       bool          `json:"on"`
	Settings EmailSettings `json:"settings"`
}

// Switched is what became of a Switch; Error is in words for an admin, "" for success.
type Switched struct {
	On     bool   `json:"on"`
	Error  string `json:"error"`
	UserID string `json:"user_id"`
}
