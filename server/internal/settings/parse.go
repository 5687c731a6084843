package settings

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"postroom/server/internal/core"
)

// handed is what the shim hands over. Mattermost's RPC drops pointers to zero values, so a member that is null
// is "", 0 or false, never "the default".
type handed struct {
	Service struct {
		SiteURL                 string
		ListenAddress           string
		ConnectionSecurity      string
		MaximumPayloadSizeBytes int64
	}
	SQL struct {
		DataSource       string
		AtRestEncryptKey string
	} `json:"Sql"`
	Email json.RawMessage
	Team  struct{ SiteName string }
	// Support and Localization give what mails and pages say.
	Support      struct{ SupportEmail string }
	Localization struct{ DefaultServerLocale string }
	Plugin       map[string]json.RawMessage
	// Environment are the variables POSTROOM_… of the server's process, by name; Variables those that a setting names.
	Environment map[string]string
	Variables   map[string]string
}

// Parse makes the snapshot. A plugin setting that can't be used is replaced by its default, with a warning that
// names it and the mend, so that a slip in the console stops no mail; only JSON that isn't any is an error.
func Parse(raw []byte) (*Snapshot, []string, error) {
	var in handed
	if err := json.Unmarshal(raw, &in); err != nil {
		return nil, nil, fmt.Errorf("the settings could not be read: %w", describe(err))
	}
	own := ownSettings(in.Plugin, in.Environment)
	var warnings []string
	// A number may be typed as text.
	pick := func(name string, preset, least, most int64) int64 {
		text := strings.TrimSpace(own.values[name])
		if text == "" {
			return preset
		}
		if value, err := strconv.ParseFloat(text, 64); err == nil && value == float64(int64(value)) && int64(value) >= least && int64(value) <= most {
			return int64(value)
		}
		warnings = append(warnings, fmt.Sprintf("the setting %s must be a whole number from %d to %d; %d is used until it is mended in %s", name, least, most, preset, own.where(name)))
		return preset
	}
	const minute, hour = 60_000, 3_600_000
	snapshot := &Snapshot{
		DataSource: in.SQL.DataSource,
		AtRestKey:  in.SQL.AtRestEncryptKey,
		Email:      in.Email,
		Site: core.Site{
			URL:              in.Service.SiteURL,
			Name:             in.Team.SiteName,
			DefaultLocale:    in.Localization.DefaultServerLocale,
			SupportEmail:     in.Support.SupportEmail,
			ResetLifetimeMS:  minute * pick("ResetLinkMinutes", 60, 5, 24*60),
			VerifyLifetimeMS: hour * pick("VerifyLinkHours", 24, 1, 7*24),
		},
		LimitAccountPerHour:  int(pick("LimitAccountPerHour", 5, 0, 1000)),
		LimitClientPerMinute: int(pick("LimitClientPerMinute", 20, 0, 100_000)),
		LimitTotalPerMinute:  int(pick("LimitTotalPerMinute", 600, 0, 1_000_000)),
		UpstreamConnections:  int(pick("UpstreamConnections", DefaultUpstreamConnections, 2, 1000)),
		UpstreamPerMinute:    int(pick("UpstreamPerMinute", 0, 0, 1_000_000)),
		RetentionDays:        int(pick("RetentionDays", 30, 1, 3650)),
		MaximumPayload:       in.Service.MaximumPayloadSizeBytes,
		ListenAddress:        in.Service.ListenAddress,
		TLS:                  in.Service.ConnectionSecurity == "TLS",
	}
	var mail struct{ FeedbackName, FeedbackEmail, ReplyToAddress string }
	if err := json.Unmarshal(in.Email, &mail); err == nil {
		snapshot.Site.FromName, snapshot.Site.FromAddress, snapshot.Site.ReplyTo = mail.FeedbackName, mail.FeedbackEmail, mail.ReplyToAddress
	}
	switch snapshot.Connection = strings.TrimSpace(own.values["Connection"]); snapshot.Connection {
	case ConnectionAuto, ConnectionPostroom, ConnectionMattermost, ConnectionCapture:
	default:
		if snapshot.Connection != "" {
			warnings = append(warnings, fmt.Sprintf("the setting Connection must be %s, %s, %s or %s; %s is used until it is mended in %s",
				ConnectionAuto, ConnectionPostroom, ConnectionMattermost, ConnectionCapture, ConnectionAuto, own.where("Connection")))
		}
		snapshot.Connection = ConnectionAuto
	}
	own.values["Connection"] = snapshot.Connection
	snapshot.Configured, snapshot.Fixed, snapshot.variables = own.values, own.fixed, in.Variables
	resolving := reader{variables: in.Variables, files: map[string]stamp{}}
	snapshot.Own, snapshot.Missing = resolving.all(own.values)
	snapshot.files = resolving.files
	snapshot.AlertWebhook = strings.TrimSpace(snapshot.Own["AlertWebhook"])
	return snapshot, warnings, nil
}

// describe keeps the place and drops the value, which may be a secret.
func describe(err error) error {
	if wrong, ok := err.(*json.UnmarshalTypeError); ok {
		return fmt.Errorf("%s must be a %s", wrong.Field, wrong.Type)
	}
	return fmt.Errorf("they are no JSON")
}
