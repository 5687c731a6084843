package shim

import (
	"encoding/json"
	"maps"
	"testing"

	"github.com/mattermost/mattermost/server/public/model"
	"github.com/mattermost/mattermost/server/public/plugin/plugintest"
)

// What goes to the service of the server's environment is what is meant for it, and nothing else of what is secret there.
func TestWhatGoesOnOfTheEnvironment(t *testing.T) {
	for name, value := range map[string]string{
		"POSTROOM_PRIMARYHOST": "smtp.example.com", "POSTROOM_FALLBACKPASSWORD": "env:FALLBACK_SECRET", "SMTP_PASSWORD": "one", "FALLBACK_SECRET": "two",
		"MM_SQLSETTINGS_DATASOURCE": "postgres://secret", "NOBODY_ASKS": "three",
	} {
		t.Setenv(name, value)
	}
	api := &plugintest.API{}
	api.On("GetUnsanitizedConfig").Return(&model.Config{})
	api.On("GetPluginConfig").Return(map[string]any{
		"primarypassword": " env:SMTP_PASSWORD", "primaryclientsecret": "env:MM_SQLSETTINGS_DATASOURCE", "primaryrefreshtoken": "env:NOT_SET", "primaryport": 25.0,
	})
	cfg, err := readConfig(api)
	if err != nil {
		t.Fatal(err)
	}
	var handed struct {
		Plugin                 map[string]any
		Environment, Variables map[string]string
	}
	if err := json.Unmarshal(cfg.settings, &handed); err != nil {
		t.Fatal(err)
	}
	if want := map[string]string{"SMTP_PASSWORD": "one", "FALLBACK_SECRET": "two"}; !maps.Equal(handed.Variables, want) {
		t.Errorf("variables %v", handed.Variables)
	}
	if handed.Environment["POSTROOM_PRIMARYHOST"] != "smtp.example.com" || handed.Environment["NOBODY_ASKS"] != "" || handed.Plugin["primaryport"] != 25.0 {
		t.Errorf("%+v", handed)
	}
}
