package core

// OpConnections reads the plugin's own settings as connections.
const OpConnections = "connections"

// ConnectionsArgs are the plugin's settings by their keys, references resolved or among Missing. Saved are those in
// force, where Settings are an unsaved form's. Secrets are among both.
type ConnectionsArgs struct {
	Settings map[string]string `json:"settings"`
	Missing  []Missing         `json:"missing"` // never nil
	Saved    map[string]string `json:"saved"`
	// RelayPort is where Postroom's own relay listens on this machine; nil where it does not.
	RelayPort *int `json:"relay_port"`
}

// Missing is a reference to a secret that leads to none.
type Missing struct {
	Field string `json:"field"` // the setting's key
	Why   string `json:"why"`   // one of the Missing… below
}

// Why a reference leads nowhere.
const (
	MissingUnset       = "unset"        // the environment variable is not set
	MissingUnsaved     = "unsaved"      // it is known only once the settings are saved
	MissingForbidden   = "forbidden"    // it is Mattermost's own
	MissingNotAbsolute = "not_absolute" // the file's path
	MissingNotFound    = "not_found"
	MissingUnreadable  = "unreadable"
	MissingTooLarge    = "too_large" // or no ordinary file
	MissingNotText     = "not_text"
)

// ConnectionsResult is what they come to. Own says that mail goes by these connections, also where none works now; they
// stand in the order in which they are used.
type ConnectionsResult struct {
	Own         bool            `json:"own"`
	Connections []OwnConnection `json:"connections"`
	From        From            `json:"from"`
	Problems    []Problem       `json:"problems"`
}

// OwnConnection is a connection and what all nodes together may have of it; PerMinute is 0 for no limit.
type OwnConnection struct {
	Connection  Connection `json:"connection"`
	Connections int        `json:"connections"`
	PerMinute   int        `json:"per_minute"`
}

// Problem is a setting that can't work, and what to do about it.
type Problem struct {
	Field string `json:"field"`
	Mend  string `json:"mend"`
}
