package main

import (
	"strings"

	"github.com/slack-go/slack"
)

func (w *world) conversations() {
	w.step("conversations.create", func() []interface{} {
		c, err := w.ada.CreateConversation("go-room", false)
		must(err)
		w.room = c.ID
		secret, err := w.ada.CreateConversation("go-secret", true)
		must(err)
		_, taken := w.ada.CreateConversation("go-room", false)
		_, odd := w.ada.CreateConversation("Not A Name", false)
		return facts(c.Name, c.NameNormalized, c.IsPrivate, w.name(c.Creator), c.Created > 0, secret.IsPrivate, refusal(taken), refusal(odd))
	})
	w.step("conversations.list, by pages of one", func() []interface{} {
		var names []string
		for cursor, more := "", true; more; more = cursor != "" {
			page, next, err := w.ada.GetConversations(&slack.GetConversationsParameters{Cursor: cursor, Limit: 1, ExcludeArchived: true, Types: []string{"public_channel", "private_channel"}})
			must(err)
			for _, c := range page {
				names = append(names, c.Name)
				if c.Name == "random" {
					w.random = c.ID
				}
			}
			cursor = next
		}
		return facts(sorted(names))
	})
	w.step("conversations.invite", func() []interface{} {
		c, err := w.ada.InviteUsersToConversation(w.room, w.graceID, w.botUser)
		must(err)
		_, again := w.ada.InviteUsersToConversation(w.room, w.graceID)
		_, self := w.ada.InviteUsersToConversation(w.room, w.adaID)
		return facts(w.name(c.ID), refusal(again), refusal(self))
	})
	w.step("conversations.join", func() []interface{} {
		c, warning, _, err := w.linus.JoinConversation(w.room)
		must(err)
		_, again, warnings, err := w.linus.JoinConversation(w.room)
		must(err)
		return facts(w.name(c.ID), c.IsMember, warning == "", again, strings.Join(warnings, ","))
	})
	w.step("conversations.members", func() []interface{} {
		first, cursor, err := w.ada.GetUsersInConversation(&slack.GetUsersInConversationParameters{ChannelID: w.room, Limit: 3})
		must(err)
		rest, end, err := w.ada.GetUsersInConversation(&slack.GetUsersInConversationParameters{ChannelID: w.room, Limit: 3, Cursor: cursor})
		must(err)
		return facts(len(first), cursor != "", w.names(append(first, rest...)), end == "")
	})
	w.step("conversations.setTopic and setPurpose", func() []interface{} {
		t, err := w.grace.SetTopicOfConversation(w.room, "Go & C")
		must(err)
		p, err := w.grace.SetPurposeOfConversation(w.room, "to be tested")
		must(err)
		return facts(t.Topic.Value, w.name(p.Purpose.Creator), p.Purpose.Value)
	})
	w.step("conversations.info", func() []interface{} {
		c, err := w.ada.GetConversationInfo(w.room, true)
		must(err)
		return facts(c.Name, c.IsChannel, c.IsMember, c.Topic.Value, c.Purpose.Value, c.Purpose.LastSet > 0)
	})
	w.step("conversations.kick", func() []interface{} {
		must(w.ada.KickUserFromConversation(w.room, w.linusID))
		return facts(refusal(w.ada.KickUserFromConversation(w.room, w.linusID)), refusal(w.ada.KickUserFromConversation(w.room, w.adaID)))
	})
	w.step("conversations.leave", func() []interface{} {
		_, _, _, err := w.linus.JoinConversation(w.room)
		must(err)
		was, err := w.linus.LeaveConversation(w.room)
		must(err)
		not, err := w.linus.LeaveConversation(w.room)
		must(err)
		return facts(was, not)
	})
	w.step("conversations.rename", func() []interface{} {
		c, err := w.ada.RenameConversation(w.room, "go-hall")
		must(err)
		_, err = w.ada.RenameConversation(w.room, "random")
		return facts(c.Name, refusal(err))
	})
	w.step("conversations.archive and unarchive", func() []interface{} {
		c, err := w.ada.CreateConversation("go-attic", false)
		must(err)
		must(w.ada.ArchiveConversation(c.ID))
		again := w.ada.ArchiveConversation(c.ID)
		_, _, post := w.ada.PostMessage(c.ID, slack.MsgOptionText("x", false))
		info, err := w.ada.GetConversationInfo(c.ID, false)
		must(err)
		must(w.ada.UnArchiveConversation(c.ID))
		return facts(info.IsArchived, refusal(again), refusal(post), refusal(w.ada.UnArchiveConversation(c.ID)))
	})
	w.step("users.conversations", func() []interface{} {
		own, next, err := w.ada.GetConversationsForUser(&slack.GetConversationsForUserParameters{UserID: w.graceID, Limit: 100, Types: []string{"public_channel"}, ExcludeArchived: true})
		must(err)
		var names []string
		for _, c := range own {
			names = append(names, c.Name)
		}
		return facts(sorted(names), next == "")
	})
}

func (w *world) direct() {
	var id string
	w.step("conversations.open, two", func() []interface{} {
		c, noOp, open, err := w.ada.OpenConversation(&slack.OpenConversationParameters{Users: []string{w.graceID}, ReturnIM: true})
		must(err)
		again, noOpNow, openNow, err := w.ada.OpenConversation(&slack.OpenConversationParameters{Users: []string{w.graceID}})
		must(err)
		id = c.ID
		return facts(c.IsIM, w.name(c.User), noOp, open, again.ID == id, noOpNow, openNow)
	})
	w.step("conversations.open, three", func() []interface{} {
		c, _, _, err := w.ada.OpenConversation(&slack.OpenConversationParameters{Users: []string{w.graceID, w.linusID}, ReturnIM: true})
		must(err)
		same, _, _, err := w.linus.OpenConversation(&slack.OpenConversationParameters{ChannelID: c.ID})
		must(err)
		_, _, _, nobody := w.ada.OpenConversation(&slack.OpenConversationParameters{Users: []string{"U00000000"}})
		return facts(c.IsMpIM, same.ID == c.ID, refusal(nobody))
	})
	w.step("conversations.close", func() []interface{} {
		noOp, closed, err := w.ada.CloseConversation(id)
		must(err)
		_, again, err := w.ada.CloseConversation(id)
		must(err)
		return facts(noOp, closed, again)
	})
}
