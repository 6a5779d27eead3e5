package main

import (
	"strconv"
	"strings"
	"time"

	"github.com/slack-go/slack"
)

func (w *world) say(who *slack.Client, text string, more ...slack.MsgOption) string {
	_, ts, err := who.PostMessage(w.room, append([]slack.MsgOption{slack.MsgOptionText(text, false)}, more...)...)
	must(err)
	return ts
}

func (w *world) newest() slack.Message {
	h, err := w.ada.GetConversationHistory(&slack.GetConversationHistoryParameters{ChannelID: w.room, Limit: 1, IncludeAllMetadata: true})
	must(err)
	return h.Messages[0]
}

func (w *world) messages() {
	w.step("chat.postMessage", func() []interface{} {
		channel, ts, text, err := w.ada.SendMessage(w.room, slack.MsgOptionText("R&D <ünï> 🎉", true))
		must(err)
		m := w.newest()
		return facts(w.name(channel), text == "", m.Text, w.name(m.User), m.Timestamp == ts, m.Type)
	})
	w.step("chat.postMessage with blocks, attachments, metadata", func() []interface{} {
		section := slack.NewSectionBlock(slack.NewTextBlockObject("mrkdwn", "*bold* & \"quoted\"", false, false), nil, nil)
		w.say(w.bot, "fallback", slack.MsgOptionBlocks(section, slack.NewDividerBlock()),
			slack.MsgOptionAttachments(slack.Attachment{Color: "#36a64f", Text: "attached", Fields: []slack.AttachmentField{{Title: "t", Value: "v", Short: true}}}),
			slack.MsgOptionMetadata(slack.SlackMetadata{EventType: "task_created", EventPayload: map[string]interface{}{"id": "7"}}),
			slack.MsgOptionDisableLinkUnfurl(), slack.MsgOptionParse(true))
		m := w.newest()
		return facts(len(m.Blocks.BlockSet), m.Blocks.BlockSet[0].(*slack.SectionBlock).Text.Text, m.Attachments[0].Text, m.Attachments[0].Fields[0].Value, m.Metadata.EventType, m.Metadata.EventPayload["id"], m.BotID == w.botID, w.name(m.User))
	})
	w.step("chat.postMessage under another name", func() []interface{} {
		w.say(w.bot, "deployed", slack.MsgOptionUsername("Deploy"), slack.MsgOptionIconEmoji(":rocket:"))
		m := w.newest()
		return facts(m.SubType, m.Username, m.User == "")
	})
	w.step("chat.update", func() []interface{} {
		ts := w.say(w.ada, "first")
		channel, updated, text, err := w.ada.UpdateMessage(w.room, ts, slack.MsgOptionText("second", false))
		must(err)
		m := w.newest()
		_, _, _, notOwn := w.grace.UpdateMessage(w.room, ts, slack.MsgOptionText("x", false))
		return facts(w.name(channel), updated == ts, text, m.Text, w.name(m.Edited.User), refusal(notOwn))
	})
	w.step("chat.delete", func() []interface{} {
		ts := w.say(w.ada, "doomed")
		channel, deleted, err := w.ada.DeleteMessage(w.room, ts)
		must(err)
		_, _, again := w.ada.DeleteMessage(w.room, ts)
		return facts(w.name(channel), deleted == ts, w.newest().Text, refusal(again))
	})
	w.step("chat.postEphemeral", func() []interface{} {
		ts, err := w.ada.PostEphemeral(w.room, w.graceID, slack.MsgOptionText("only you", false))
		must(err)
		_, outside := w.ada.PostEphemeral(w.room, w.linusID, slack.MsgOptionText("x", false))
		return facts(ts != "", w.newest().Text, refusal(outside))
	})
	w.step("chat.meMessage", func() []interface{} {
		_, ts, _, err := w.ada.SendMessage(w.room, slack.MsgOptionMeMessage(), slack.MsgOptionText("waves", false))
		must(err)
		m := w.newest()
		return facts(m.Timestamp == ts, m.SubType, m.Text)
	})
	w.step("chat.getPermalink", func() []interface{} {
		ts := w.newest().Timestamp
		link, err := w.ada.GetPermalink(&slack.PermalinkParameters{Channel: w.room, Ts: ts})
		must(err)
		_, none := w.ada.GetPermalink(&slack.PermalinkParameters{Channel: w.room, Ts: "1700000000.000100"})
		return facts(strings.TrimPrefix(link, strings.TrimSuffix(w.api, "api/")) == "archives/"+w.room+"/p"+strings.Replace(ts, ".", "", 1), refusal(none))
	})
	w.step("chat.scheduleMessage", func() []interface{} {
		at := time.Now().Add(time.Hour).Unix()
		channel, _, err := w.ada.ScheduleMessage(w.room, strconv.FormatInt(at, 10), slack.MsgOptionText("later", false))
		must(err)
		_, _, past := w.ada.ScheduleMessage(w.room, "1700000000", slack.MsgOptionText("x", false))
		list, next, err := w.ada.GetScheduledMessages(&slack.GetScheduledMessagesParameters{Channel: w.room, Limit: 10})
		must(err)
		gone, err := w.ada.DeleteScheduledMessage(&slack.DeleteScheduledMessageParameters{Channel: w.room, ScheduledMessageID: list[0].ID})
		must(err)
		after, _, err := w.ada.GetScheduledMessages(&slack.GetScheduledMessagesParameters{})
		must(err)
		return facts(w.name(channel), refusal(past), len(list), list[0].Text, w.name(list[0].Channel), int64(list[0].PostAt) == at, next == "", gone, len(after))
	})
}

func (w *world) threads() {
	parent := w.say(w.ada, "parent")
	w.step("a thread", func() []interface{} {
		w.say(w.grace, "reply", slack.MsgOptionTS(parent))
		last := w.say(w.ada, "reply to all", slack.MsgOptionTS(parent), slack.MsgOptionBroadcast())
		all, more, _, err := w.ada.GetConversationReplies(&slack.GetConversationRepliesParameters{ChannelID: w.room, Timestamp: parent})
		must(err)
		p := all[0]
		return facts(texts(all), more, p.ReplyCount, p.LatestReply == last, w.name(all[1].ParentUserId), all[1].ThreadTimestamp == parent, w.newest().SubType)
	})
	w.step("conversations.replies, by pages of one", func() []interface{} {
		var seen []string
		for cursor, more := "", true; more; {
			page, has, next, err := w.ada.GetConversationReplies(&slack.GetConversationRepliesParameters{ChannelID: w.room, Timestamp: parent, Limit: 1, Cursor: cursor, Inclusive: true})
			must(err)
			seen = append(seen, texts(page[1:])) // each page begins with the parent
			cursor, more = next, has
		}
		return facts(strings.Join(seen, "|"))
	})
	w.step("conversations.history, by pages of two", func() []interface{} {
		var times []string
		pages := 0
		for cursor, more := "", true; more; pages++ {
			h, err := w.ada.GetConversationHistory(&slack.GetConversationHistoryParameters{ChannelID: w.room, Limit: 2, Cursor: cursor, Oldest: "0"})
			must(err)
			for _, m := range h.Messages {
				times = append(times, m.Timestamp)
			}
			cursor, more = h.ResponseMetaData.NextCursor, h.HasMore
		}
		falling := true
		for i := 1; i < len(times); i++ {
			falling = falling && times[i] < times[i-1]
		}
		one, err := w.ada.GetConversationHistory(&slack.GetConversationHistoryParameters{ChannelID: w.room, Latest: parent, Inclusive: true, Limit: 1})
		must(err)
		return facts(pages == (len(times)+1)/2, falling, texts(one.Messages))
	})
	w.step("conversations.mark", func() []interface{} {
		before, err := w.grace.GetConversationInfo(w.room, false)
		must(err)
		must(w.grace.MarkConversation(w.room, w.newest().Timestamp))
		after, err := w.grace.GetConversationInfo(w.room, false)
		must(err)
		return facts(before.UnreadCount > 0, after.UnreadCount, after.LastRead == w.newest().Timestamp)
	})
}
