package specs

import (
	"time"

	"postroom/e2e/harness"
)

// settleSettings waits for the service to have taken new settings in, which no route tells.
func settleSettings() { time.Sleep(700 * time.Millisecond) }

// viaProxy asks Mattermost's own routes, as Mattermost's clients do.
func viaProxy(client *harness.Client) *harness.Client {
	other := *client
	other.OwnRoutes = true
	return &other
}
