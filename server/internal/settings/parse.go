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
	Plugin       plugin
}

// plugin is the plugin's own settings; Mattermost stores their keys in lower case. A number may be typed as text.
type plugin struct {
	Connection           string
	ResetLinkMinutes     *number
	VerifyLinkHours      *number
	LimitAccountPerHour  *number
	LimitClientPerMinute *number
	LimitTotalPerMinute  *number
	UpstreamConnections  *number
	UpstreamPerMinute    *number
	RetentionDays        *number
	AlertWebhook         string
}

type number int64

// UnmarshalJSON reads 5, 5.0 and "5".
func (n *number) UnmarshalJSON(raw []byte) error {
	value, err := strconv.ParseFloat(strings.TrimSpace(strings.Trim(string(raw), `"`)), 64)
	if err != nil || value != float64(int64(value)) {
		*n = invalid
		return nil
	}
	*n = number(value)
	return nil
}

// invalid marks a number that can't be read: its setting's default is used, and the admin told.
const invalid number = -1 << 62

// Parse makes the snapshot. A plugin setting that can't be used is replaced by its default, with a warning that
// names it and the mend, so that a slip in the console stops no mail; only JSON that isn't any is an error.
func Parse(raw []byte) (*Snapshot, []string, error) {
	var in handed
	if err := json.Unmarshal(raw, &in); err != nil {
		return nil, nil, fmt.Errorf("the settings could not be read: %w", describe(err))
	}
	var warnings []string
	pick := func(name string, value *number, preset, least, most int64) int64 {
		switch {
		case value == nil:
			return preset
		case int64(*value) < least || int64(*value) > most:
			warnings = append(warnings, fmt.Sprintf("the setting %s must be a whole number from %d to %d; %d is used until it is mended in System Console > Plugins > Postroom", name, least, most, preset))
			return preset
		}
		return int64(*value)
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
			ResetLifetimeMS:  minute * pick("ResetLinkMinutes", in.Plugin.ResetLinkMinutes, 60, 5, 24*60),
			VerifyLifetimeMS: hour * pick("VerifyLinkHours", in.Plugin.VerifyLinkHours, 24, 1, 7*24),
		},
		LimitAccountPerHour:  int(pick("LimitAccountPerHour", in.Plugin.LimitAccountPerHour, 5, 0, 1000)),
		LimitClientPerMinute: int(pick("LimitClientPerMinute", in.Plugin.LimitClientPerMinute, 20, 0, 100_000)),
		LimitTotalPerMinute:  int(pick("LimitTotalPerMinute", in.Plugin.LimitTotalPerMinute, 600, 0, 1_000_000)),
		UpstreamConnections:  int(pick("UpstreamConnections", in.Plugin.UpstreamConnections, DefaultUpstreamConnections, 2, 1000)),
		UpstreamPerMinute:    int(pick("UpstreamPerMinute", in.Plugin.UpstreamPerMinute, 0, 0, 1_000_000)),
		RetentionDays:        int(pick("RetentionDays", in.Plugin.RetentionDays, 30, 1, 3650)),
		AlertWebhook:         strings.TrimSpace(in.Plugin.AlertWebhook),
		MaximumPayload:       in.Service.MaximumPayloadSizeBytes,
		ListenAddress:        in.Service.ListenAddress,
		TLS:                  in.Service.ConnectionSecurity == "TLS",
	}
	var mail struct{ FeedbackName, FeedbackEmail, ReplyToAddress string }
	if err := json.Unmarshal(in.Email, &mail); err == nil {
		snapshot.Site.FromName, snapshot.Site.FromAddress, snapshot.Site.ReplyTo = mail.FeedbackName, mail.FeedbackEmail, mail.ReplyToAddress
	}
	switch in.Plugin.Connection {
	case ConnectionAuto, ConnectionMattermost, ConnectionCapture:
		snapshot.Connection = in.Plugin.Connection
	case "":
		snapshot.Connection = ConnectionAuto
	default:
		snapshot.Connection = ConnectionAuto
		warnings = append(warnings, fmt.Sprintf("the setting Connection must be %s, %s or %s; %s is used until it is mended in System Console > Plugins > Postroom",
			ConnectionAuto, ConnectionMattermost, ConnectionCapture, ConnectionAuto))
	}
	return snapshot, warnings, nil
}

// describe keeps the place and drops the value, which may be a secret.
func describe(err error) error {
	if wrong, ok := err.(*json.UnmarshalTypeError); ok {
		return fmt.Errorf("%s must be a %s", wrong.Field, wrong.Type)
	}
	return fmt.Errorf("they are no JSON")
}
