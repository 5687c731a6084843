// Package settings turns what the shim hands over (Mattermost's configuration and the plugin's own) into one
// immutable snapshot, swapped whole when either changes.
package settings

import (
	"encoding/json"

	"postroom/server/internal/core"
)

// Which connection the courier uses.
const (
	ConnectionAuto       = "auto"       // Mattermost's own SMTP server where one is set, capture otherwise
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
