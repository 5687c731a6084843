package shim

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/mattermost/mattermost/server/public/model"
	"github.com/mattermost/mattermost/server/public/plugin"
)

// config is what the shim itself needs of Mattermost's configuration, and, unread, what the service does.
type config struct {
	maximumPayload int64
	restrictAdmin  bool
	settings       []byte // secret
}

// readConfig takes the sections that concern mail; other plugins' settings and all else stay out.
func readConfig(api plugin.API) (*config, error) {
	cfg := api.GetUnsanitizedConfig()
	if cfg == nil {
		return nil, fmt.Errorf("the server's configuration could not be read: Mattermost gave none")
	}
	// The RPC drops pointers to zero values, so nil is 0, "" or false here, never "default".
	settings, err := json.Marshal(map[string]any{
		"Service":      cfg.ServiceSettings,
		"Sql":          cfg.SqlSettings,
		"Email":        cfg.EmailSettings,
		"Team":         cfg.TeamSettings,
		"Support":      cfg.SupportSettings,
		"Localization": cfg.LocalizationSettings,
		"Plugin":       api.GetPluginConfig(),
	})
	if err != nil {
		return nil, fmt.Errorf("the server's configuration could not be handed on: %w", err)
	}
	return &config{
		maximumPayload: model.SafeDereference(cfg.ServiceSettings.MaximumPayloadSizeBytes),
		restrictAdmin:  model.SafeDereference(cfg.ExperimentalSettings.RestrictSystemAdmin),
		settings:       settings,
	}, nil
}

// exit ends the shim when its server is gone; nobody is left to call OnDeactivate.
func exit() { os.Exit(0) }
