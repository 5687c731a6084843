package settings

import "strings"

// connectionKeys are one connection's settings, to be put behind Primary and Fallback.
var connectionKeys = []string{
	"Host", "Port", "Security", "MinimumTLS", "CA", "Pin", "EHLOName", "EnvelopeSender", "Auth", "Username", "Password",
	"TokenURL", "ClientID", "ClientSecret", "RefreshToken", "Scope", "Connections", "PerMinute",
}

// Keys are the plugin's settings, as plugin.json has them; a test holds both to each other. Mattermost stores them in
// lower case.
var Keys = func() []string {
	keys := []string{
		"Connection", "FromName", "FromAddress", "ReplyTo", "ClearTextHosts", "AlertWebhook", "ResetLinkMinutes", "VerifyLinkHours",
		"LimitAccountPerHour", "LimitClientPerMinute", "LimitTotalPerMinute", "UpstreamConnections", "UpstreamPerMinute", "RetentionDays",
	}
	for _, prefix := range []string{"Primary", "Fallback"} {
		for _, key := range connectionKeys {
			keys = append(keys, prefix+key)
		}
	}
	return keys
}()

// Variable is the environment variable that sets a key, whatever the configuration says.
func Variable(key string) string { return "POSTROOM_" + strings.ToUpper(key) }

// secret is whether a setting is never shown.
func secret(key string) bool {
	return ends(key, "Password", "ClientSecret", "RefreshToken", "AlertWebhook")
}

// mayRefer is whether a setting may be env:NAME or file:/path.
func mayRefer(key string) bool { return secret(key) || ends(key, "CA") }

func ends(key string, with ...string) bool {
	for _, end := range with {
		if strings.HasSuffix(key, end) {
			return true
		}
	}
	return false
}
