package shim

import (
	"github.com/mattermost/mattermost/server/public/model"
	"github.com/mattermost/mattermost/server/public/plugin"

	"postroom/server/internal/link"
)

// writeAudit puts a record into Mattermost's audit log. ctx is nil where no request is at hand any more.
func writeAudit(api plugin.API, audit link.Audit, ctx *plugin.Context) {
	record := plugin.MakeAuditRecord(audit.Event, model.AuditStatusFail)
	if audit.Success {
		record.Success()
	}
	record.Actor = model.AuditEventActor{UserId: audit.UserID, IpAddress: audit.Address}
	if ctx != nil {
		record.Actor.SessionId, record.Actor.Client = ctx.SessionId, ctx.UserAgent
	}
	record.Meta = map[string]any{"api_path": audit.Path}
	for key, value := range audit.Params {
		model.AddEventParameterToAuditRec(record, key, value)
	}
	api.LogAuditRec(record)
}

// writeLog puts a line of the service's log into Mattermost's.
func writeLog(api plugin.API, record link.LogRecord) {
	write := map[string]func(string, ...any){"debug": api.LogDebug, "warn": api.LogWarn, "error": api.LogError}[record.Level]
	if write == nil {
		write = api.LogInfo
	}
	write(record.Message, record.Fields...)
}
