package shim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/mattermost/mattermost/server/public/model"
	"github.com/mattermost/mattermost/server/public/plugin"

	"postroom/server/internal/link"
)

// commandWithin bounds what a command waits for its answer; Mattermost shows nothing meanwhile.
const commandWithin = 8 * time.Second

// registerCommand registers the slash command in the service's words. Mattermost itself takes it back when the plugin
// is switched off, removed or given up.
func registerCommand(api plugin.API, keeper *keeper) error {
	reply, err := keeper.ask(context.Background(), askWithin, http.MethodGet, link.PathCommand, nil, nil)
	if err != nil {
		return err
	}
	defer func() { _ = reply.Body.Close() }()
	var words link.CommandWords
	if reply.StatusCode != http.StatusOK {
		return fmt.Errorf("the service answered with status %d", reply.StatusCode)
	}
	if err := json.NewDecoder(reply.Body).Decode(&words); err != nil {
		return err
	}
	return api.RegisterCommand(commandOf(words))
}

// commandOf is shown to system admins alone, subcommands and all.
func commandOf(words link.CommandWords) *model.Command {
	data := model.NewAutocompleteData(words.Trigger, words.Hint, words.Help)
	data.RoleID = model.SystemAdminRoleId
	for _, sub := range words.Subcommands {
		command := model.NewAutocompleteData(sub.Name, sub.Hint, sub.Help)
		command.RoleID = model.SystemAdminRoleId
		if sub.Argument != nil {
			command.AddTextArgument(sub.Argument.Help, sub.Argument.Hint, "")
		}
		data.AddCommand(command)
	}
	return &model.Command{
		Trigger: words.Trigger, DisplayName: words.Title, Description: words.Help,
		AutoComplete: true, AutoCompleteHint: words.Hint, AutoCompleteDesc: words.Help, AutocompleteData: data,
	}
}

// ExecuteCommand has the service answer a system admin, and nobody else.
func (p *Plugin) ExecuteCommand(ctx *plugin.Context, args *model.CommandArgs) (*model.CommandResponse, *model.AppError) {
	if !p.API.HasPermissionTo(args.UserId, model.PermissionManageSystem) {
		return toAsker("You do not have the appropriate permissions."), nil
	}
	if p.keeper == nil {
		return toAsker("Postroom is starting again. Try again in a moment."), nil
	}
	body, err := json.Marshal(link.Command{
		Text: args.Command, UserID: args.UserId, ChannelID: args.ChannelId,
		Address: ctx.IPAddress, RequestID: ctx.RequestId, UserAgent: ctx.UserAgent, Restricted: p.config.Load().restrictAdmin,
	})
	var reply link.CommandReply
	if err == nil {
		reply, err = p.keeper.command(body)
	}
	if err != nil {
		p.API.LogWarn("the service did not answer a command", "error", err.Error())
		return toAsker("Postroom is starting again. Try again in a moment."), nil
	}
	if reply.Audit != nil {
		reply.Audit.UserID, reply.Audit.Address, reply.Audit.Path = args.UserId, ctx.IPAddress, "command"
		writeAudit(p.API, *reply.Audit, ctx)
	}
	return toAsker(reply.Text), nil
}

// command asks until a service has taken the command; one that was taken is not sent again.
func (k *keeper) command(body []byte) (link.CommandReply, error) {
	var answer link.CommandReply
	for deadline := time.Now().Add(waitForService); ; time.Sleep(20 * time.Millisecond) {
		reply, err := k.ask(context.Background(), commandWithin, http.MethodPost, link.PathCommand, nil, body)
		if err != nil {
			var dial *net.OpError
			if errors.As(err, &dial) && dial.Op == "dial" && time.Now().Before(deadline) {
				continue
			}
			return answer, err
		}
		defer func() { _ = reply.Body.Close() }()
		if reply.StatusCode != http.StatusOK {
			return answer, fmt.Errorf("it answered with status %d", reply.StatusCode)
		}
		return answer, json.NewDecoder(reply.Body).Decode(&answer)
	}
}

// toAsker is seen by whoever typed the command alone. What is in it is Markdown as it stands: Slack's forms, such as
// <!channel>, are not read.
func toAsker(text string) *model.CommandResponse {
	return &model.CommandResponse{ResponseType: model.CommandResponseTypeEphemeral, Text: text, Username: "Postroom", SkipSlackParsing: true}
}
