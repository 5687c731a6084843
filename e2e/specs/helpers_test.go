package specs

import (
	"fmt"
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

// errNotYet says what is waited for.
func errNotYet(what string, err error) error {
	if err != nil {
		return err
	}
	return fmt.Errorf("no %s yet", what)
}
