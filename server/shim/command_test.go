package shim

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/mattermost/mattermost/server/public/model"
	"github.com/mattermost/mattermost/server/public/plugin"
	"github.com/mattermost/mattermost/server/public/plugin/plugintest"
	"github.com/stretchr/testify/mock"

	"postroom/server/internal/link"
)

// commanded is a plugin whose service gives the words and answers every command.
func commanded(t *testing.T) (p *Plugin, api *plugintest.API, typed chan link.Command) {
	w := newWorld(t)
	listener, err := link.Listen(w.dir)
	if err != nil {
		t.Fatal(err)
	}
	typed = make(chan link.Command, 4)
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+link.PathCommand, func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(link.CommandWords{Trigger: "postroom", Title: "Postroom", Hint: "[status]", Help: "help", Subcommands: []link.SubcommandHelp{
			{Name: "status", Help: "how it does"}, {Name: "resend", Argument: &link.ArgumentHelp{Hint: "[mail]", Help: "which"}},
		}})
	})
	mux.HandleFunc("POST "+link.PathCommand, func(w http.ResponseWriter, r *http.Request) {
		var command link.Command
		if err := json.NewDecoder(r.Body).Decode(&command); err != nil {
			t.Error(err)
		}
		typed <- command
		_ = json.NewEncoder(w).Encode(link.CommandReply{Text: "well", Audit: &link.Audit{Event: "postroomResendMail", UserID: "somebody else"}})
	})
	server := &http.Server{Handler: mux}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	p = &Plugin{keeper: &keeper{api: w.api, client: link.Client(w.dir)}}
	p.config.Store(&config{restrictAdmin: true})
	p.SetAPI(w.api)
	return p, w.api, typed
}

func TestTheCommandIsRegisteredForSystemAdmins(t *testing.T) {
	p, api, _ := commanded(t)
	api.On("RegisterCommand", mock.MatchedBy(func(command *model.Command) bool {
		data := command.AutocompleteData
		if err := data.IsValid(); err != nil {
			t.Error(err)
		}
		for _, each := range append([]*model.AutocompleteData{data}, data.SubCommands...) {
			if each.RoleID != model.SystemAdminRoleId {
				t.Errorf("%s is shown to %s", each.Trigger, each.RoleID)
			}
		}
		return command.Trigger == "postroom" && command.AutoComplete && len(data.SubCommands) == 2 && len(data.SubCommands[1].Arguments) == 1
	})).Return(nil).Once()
	if err := registerCommand(api, p.keeper); err != nil {
		t.Error(err)
	}
	api.AssertExpectations(t)
}

func TestACommandIsASystemAdminsAlone(t *testing.T) {
	p, api, typed := commanded(t)
	api.On("HasPermissionTo", "admin", model.PermissionManageSystem).Return(true)
	api.On("HasPermissionTo", "user", model.PermissionManageSystem).Return(false)
	api.On("LogAuditRec", mock.MatchedBy(func(record *model.AuditRecord) bool {
		return record.EventName == "postroomResendMail" && record.Actor.UserId == "admin" && record.Actor.IpAddress == "203.0.113.7"
	})).Return().Once()
	execute := func(user string) *model.CommandResponse {
		t.Helper()
		reply, appErr := p.ExecuteCommand(&plugin.Context{IPAddress: "203.0.113.7", RequestId: "r"}, &model.CommandArgs{
			UserId: user, ChannelId: "town", Command: "/postroom status",
		})
		if appErr != nil || reply.ResponseType != model.CommandResponseTypeEphemeral || !reply.SkipSlackParsing {
			t.Fatal(reply, appErr)
		}
		return reply
	}
	if text := execute("user").Text; !strings.Contains(text, "permissions") || len(typed) != 0 {
		t.Error(text)
	}
	if text := execute("admin").Text; text != "well" {
		t.Error(text)
	}
	want := link.Command{Text: "/postroom status", UserID: "admin", ChannelID: "town", Address: "203.0.113.7", RequestID: "r", Restricted: true}
	if got := <-typed; got != want {
		t.Errorf("%+v", got)
	}
	api.AssertExpectations(t)
	p.keeper = nil
	if text := execute("admin").Text; !strings.Contains(text, "starting again") {
		t.Error(text)
	}
}
