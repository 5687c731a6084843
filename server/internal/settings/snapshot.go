// Package settings turns what the shim hands over (Mattermost's configuration and the plugin's own) into one
// immutable snapshot, swapped whole when either changes.
package settings

import (
	"encoding/json"

	"postroom/server/internal/core"
)

// Which connection the courier uses.
const (
	ConnectionAuto       = "auto"       // Postroom's own where a primary is set, else Mattermost's where one is set, else capture
	ConnectionPostroom   = "postroom"   // Postroom's own: the primary, and the fallback in its place
	ConnectionMattermost = "mattermost" // Mattermost's own SMTP server
	ConnectionCapture    = "capture"    // deliver nothing, keep every mail
)

// DefaultUpstreamConnections is what Postfix lets one client have.
const DefaultUpstreamConnections = 50

// Snapshot is everything the service knows of its configuration. It is never changed once made.
// DataSource, AtRestKey, Email and AlertWebhook are secret.
type Snapshot struct {
	DataSource string
	AtRestKey  string
	Site       core.Site
	// Email is Mattermost's EmailSettings object as JSON, unsanitized; a null member means "", 0 or false.
	Email      json.RawMessage
	Connection string

	// Configured are the plugin's settings by their keys, as text, references to secrets not resolved; Fixed are the keys
	// that an environment variable sets.
	Configured map[string]string
	Fixed      []string
	// Own are the same with references resolved, less those in Missing. Secret.
	Own     map[string]string
	Missing []core.Missing
	// Connections is what the core makes of Own; nil before it was asked.
	Connections *core.ConnectionsResult
	variables   map[string]string // that references name
	files       map[string]stamp  // that they read

	LimitAccountPerHour  int
	LimitClientPerMinute int
	LimitTotalPerMinute  int

	// UpstreamConnections is how many connections to the upstream server all nodes have at once, UpstreamPerMinute how
	// many mails they send it in a minute, 0 for no limit.
	UpstreamConnections int
	UpstreamPerMinute   int
	// RetentionDays is how long a mail stays in the list.
	RetentionDays int
	// AlertWebhook is told of incidents; empty for none.
	AlertWebhook string

	// MaximumPayload is Mattermost's MaximumPayloadSizeBytes.
	MaximumPayload int64
	// ListenAddress, TLS and SiteURL's path are where Mattermost answers on this machine.
	ListenAddress string
	TLS           bool
}

// UsesOwn is whether mail goes by Postroom's own connections, also where none works now. Where the core could not be asked,
// they are those that are meant to be used.
func (s *Snapshot) UsesOwn() bool {
	if s.Connections != nil {
		return s.Connections.Own
	}
	return s.Connection == ConnectionPostroom || s.Connection == ConnectionAuto && s.Own["PrimaryHost"] != ""
}
