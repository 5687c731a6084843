package shim

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"

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
	plugins := api.GetPluginConfig()
	environment, variables := fromEnvironment(plugins)
	settings, err := json.Marshal(map[string]any{
		"Service":      cfg.ServiceSettings,
		"Sql":          cfg.SqlSettings,
		"Email":        cfg.EmailSettings,
		"Team":         cfg.TeamSettings,
		"Support":      cfg.SupportSettings,
		"Localization": cfg.LocalizationSettings,
		"Plugin":       plugins,
		"Environment":  environment,
		"Variables":    variables,
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

// fromEnvironment are the variables POSTROOM_… of the server's process, which the plugin inherits, and those that a setting
// names as env:NAME, Mattermost's own less. They hold secrets: with the settings they go to the service over its pipe and
// its socket, as the service's own environment may be read by others.
func fromEnvironment(plugins map[string]any) (environment, variables map[string]string) {
	environment, variables = map[string]string{}, map[string]string{}
	refer := func(value any) {
		text, _ := value.(string)
		name, is := strings.CutPrefix(strings.TrimSpace(text), "env:")
		if name = strings.TrimSpace(name); !is || strings.HasPrefix(strings.ToUpper(name), "MM_") {
			return
		}
		if held, set := os.LookupEnv(name); set {
			variables[name] = held
		}
	}
	for _, entry := range os.Environ() {
		if name, value, _ := strings.Cut(entry, "="); strings.HasPrefix(name, "POSTROOM_") {
			environment[name] = value
			refer(value)
		}
	}
	for _, value := range plugins {
		refer(value)
	}
	return environment, variables
}

// exit ends the shim when its server is gone; nobody is left to call OnDeactivate.
func exit() { os.Exit(0) }
