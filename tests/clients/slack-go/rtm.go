package main

import (
	"os"
	"strings"
	"sync"
	"time"

	"github.com/slack-go/slack"
)

// Everything that comes on one managed socket, kept in its order.
type ear struct {
	rtm    *slack.RTM
	lock   sync.Mutex
	events []slack.RTMEvent
	ended  chan struct{}
}

func listen(c *slack.Client, options ...slack.RTMOption) *ear {
	e := &ear{rtm: c.NewRTM(options...), ended: make(chan struct{})}
	go func() {
		e.rtm.ManageConnection()
		close(e.ended)
	}()
	go func() {
		for event := range e.rtm.IncomingEvents {
			e.lock.Lock()
			e.events = append(e.events, event)
			e.lock.Unlock()
		}
	}()
	return e
}

// The first event for which want is true; nil until then is not enough.
func (e *ear) hear(what string, want func(interface{}) bool) interface{} {
	var got interface{}
	eventually(what, func() bool {
		e.lock.Lock()
		defer e.lock.Unlock()
		for _, event := range e.events {
			if want(event.Data) {
				got = event.Data
				return true
			}
		}
		return false
	})
	return got
}

// Events that slack-go could not read although it knows their type: a member of another type than it takes.
func (e *ear) unreadable() string {
	e.lock.Lock()
	defer e.lock.Unlock()
	var out []string
	for _, event := range e.events {
		if u, ok := event.Data.(*slack.UnmarshallingErrorEvent); ok {
			if _, unknown := u.ErrorObj.(*slack.UnmappedError); !unknown {
				out = append(out, u.Error())
			}
		}
	}
	return "[" + strings.Join(out, " ") + "]"
}

func (w *world) socket() {
	var grace *ear
	w.step("rtm.connect", func() []interface{} {
		grace = listen(w.grace, slack.RTMOptionPingInterval(200*time.Millisecond))
		c := grace.hear("connected", func(d interface{}) bool { _, ok := d.(*slack.ConnectedEvent); return ok }).(*slack.ConnectedEvent)
		grace.hear("hello", func(d interface{}) bool { _, ok := d.(*slack.HelloEvent); return ok })
		return facts(c.Info.User.Name, w.name(c.Info.User.ID), c.Info.Team.Domain, strings.Contains(c.Info.URL, "?"))
	})
	w.step("rtm.start", func() []interface{} {
		info, url, err := w.ada.StartRTM()
		must(err)
		return facts(info.User.Name, info.Team.Name, strings.HasPrefix(url, "ws://"))
	})
	w.step("a message is heard", func() []interface{} {
		ts := w.say(w.ada, "to the socket")
		m := grace.hear("the message", func(d interface{}) bool { m, ok := d.(*slack.MessageEvent); return ok && m.Timestamp == ts }).(*slack.MessageEvent)
		return facts(m.Text, w.name(m.Channel), w.name(m.User))
	})
	w.step("a message is said", func() []interface{} {
		out := grace.rtm.NewOutgoingMessage("from the socket", w.room)
		grace.rtm.SendMessage(out)
		ack := grace.hear("the answer", func(d interface{}) bool { a, ok := d.(*slack.AckMessage); return ok && a.ReplyTo == out.ID }).(*slack.AckMessage)
		own := grace.hear("its event", func(d interface{}) bool { m, ok := d.(*slack.MessageEvent); return ok && m.Timestamp == ack.Timestamp }).(*slack.MessageEvent)
		grace.rtm.SendMessage(grace.rtm.NewOutgoingMessage("below it", w.room, slack.RTMsgOptionTS(ack.Timestamp), slack.RTMsgOptionBroadcast()))
		below := grace.hear("the reply", func(d interface{}) bool { m, ok := d.(*slack.MessageEvent); return ok && m.Text == "below it" }).(*slack.MessageEvent)
		return facts(ack.Ok, ack.Text, own.Text, w.newest().Text, below.ThreadTimestamp == ack.Timestamp, w.newest().SubType)
	})
	w.step("a message is refused", func() []interface{} {
		out := grace.rtm.NewOutgoingMessage("nowhere", "C00000000")
		grace.rtm.SendMessage(out)
		e := grace.hear("the refusal", func(d interface{}) bool { a, ok := d.(*slack.AckErrorEvent); return ok && a.ReplyTo == out.ID }).(*slack.AckErrorEvent)
		return facts(e.Error())
	})
	w.step("edits, deletions, reactions are heard", func() []interface{} {
		ts := w.say(w.ada, "before")
		_, _, _, err := w.ada.UpdateMessage(w.room, ts, slack.MsgOptionText("after", false))
		must(err)
		changed := grace.hear("the edit", func(d interface{}) bool {
			m, ok := d.(*slack.MessageEvent)
			return ok && m.SubType == "message_changed" && m.SubMessage.Timestamp == ts
		}).(*slack.MessageEvent)
		must(w.ada.AddReaction("eyes", slack.NewRefToMessage(w.room, ts)))
		r := grace.hear("the reaction", func(d interface{}) bool { r, ok := d.(*slack.ReactionAddedEvent); return ok && r.Item.Timestamp == ts }).(*slack.ReactionAddedEvent)
		_, _, err = w.ada.DeleteMessage(w.room, ts)
		must(err)
		deleted := grace.hear("the deletion", func(d interface{}) bool { m, ok := d.(*slack.MessageEvent); return ok && m.DeletedTimestamp == ts }).(*slack.MessageEvent)
		return facts(changed.SubMessage.Text, changed.PreviousMessage.Text, r.Reaction, w.name(r.User), w.name(r.ItemUser), w.name(r.Item.Channel), deleted.SubType, deleted.PreviousMessage.Text)
	})
	w.step("channels are heard", func() []interface{} {
		c, err := w.ada.CreateConversation("go-heard", false)
		must(err)
		made := grace.hear("channel_created", func(d interface{}) bool { e, ok := d.(*slack.ChannelCreatedEvent); return ok && e.Channel.ID == c.ID }).(*slack.ChannelCreatedEvent)
		_, err = w.ada.InviteUsersToConversation(c.ID, w.graceID)
		must(err)
		joined := grace.hear("channel_joined", func(d interface{}) bool { e, ok := d.(*slack.ChannelJoinedEvent); return ok && e.Channel.ID == c.ID }).(*slack.ChannelJoinedEvent)
		member := grace.hear("member_joined_channel", func(d interface{}) bool {
			e, ok := d.(*slack.MemberJoinedChannelEvent)
			return ok && e.Channel == c.ID && e.User == w.graceID
		}).(*slack.MemberJoinedChannelEvent)
		_, err = w.ada.RenameConversation(c.ID, "go-renamed")
		must(err)
		renamed := grace.hear("channel_rename", func(d interface{}) bool { e, ok := d.(*slack.ChannelRenameEvent); return ok && e.Channel.ID == c.ID }).(*slack.ChannelRenameEvent)
		must(w.ada.ArchiveConversation(c.ID))
		grace.hear("channel_archive", func(d interface{}) bool { e, ok := d.(*slack.ChannelArchiveEvent); return ok && e.Channel == c.ID })
		must(w.grace.MarkConversation(w.room, w.newest().Timestamp))
		grace.hear("channel_marked", func(d interface{}) bool { e, ok := d.(*slack.ChannelMarkedEvent); return ok && e.Channel == w.room })
		return facts(made.Channel.Name, w.name(made.Channel.Creator), joined.Channel.Name, member.ChannelType, renamed.Channel.Name)
	})
	w.step("typing and presence are heard", func() []interface{} {
		grace.rtm.SendMessage(grace.rtm.NewSubscribeUserPresence([]string{w.adaID}))
		grace.hear("who is not there", func(d interface{}) bool { p, ok := d.(*slack.PresenceChangeEvent); return ok && p.Presence == "away" })
		ada := listen(w.ada)
		p := grace.hear("who comes", func(d interface{}) bool { p, ok := d.(*slack.PresenceChangeEvent); return ok && p.Presence == "active" }).(*slack.PresenceChangeEvent)
		ada.hear("hello", func(d interface{}) bool { _, ok := d.(*slack.HelloEvent); return ok })
		ada.rtm.SendMessage(ada.rtm.NewTypingMessage(w.room))
		t := grace.hear("typing", func(d interface{}) bool { _, ok := d.(*slack.UserTypingEvent); return ok }).(*slack.UserTypingEvent)
		must(ada.rtm.Disconnect())
		<-ada.ended
		return facts(w.name(p.User), w.name(t.User), w.name(t.Channel), ada.unreadable())
	})
	w.step("files, pins, people are heard", func() []interface{} {
		f, err := w.ada.UploadFile(slack.FileUploadParameters{Content: "heard", Channels: []string{w.room}})
		must(err)
		shared := grace.hear("file_shared", func(d interface{}) bool { e, ok := d.(*slack.FileSharedEvent); return ok && e.FileID == f.ID }).(*slack.FileSharedEvent)
		must(w.ada.AddPin(w.room, slack.NewRefToMessage(w.room, w.newest().Timestamp)))
		pin := grace.hear("pin_added", func(d interface{}) bool { _, ok := d.(*slack.PinAddedEvent); return ok }).(*slack.PinAddedEvent)
		must(w.ada.SetUserRealName("Ada Byron"))
		user := grace.hear("user_change", func(d interface{}) bool {
			e, ok := d.(*slack.UserChangeEvent)
			return ok && e.User.RealName == "Ada Byron"
		}).(*slack.UserChangeEvent)
		return facts(shared.File.ID == f.ID, w.name(pin.Channel), w.name(pin.User), user.User.Name)
	})
	w.step("pings are answered", func() []interface{} {
		l := grace.hear("latency_report", func(d interface{}) bool { _, ok := d.(*slack.LatencyReport); return ok }).(*slack.LatencyReport)
		return facts(l.Value < 20*time.Second) // pings carry whole seconds
	})
	w.step("nothing was unreadable, and it ends when asked", func() []interface{} {
		must(grace.rtm.Disconnect())
		d := grace.hear("disconnected", func(d interface{}) bool { _, ok := d.(*slack.DisconnectedEvent); return ok }).(*slack.DisconnectedEvent)
		<-grace.ended
		return facts(grace.unreadable(), d.Intentional)
	})
	w.step("rtm.connect with a bad token", func() []interface{} {
		e := listen(slack.New("xoxp-1-2-3-nobody", slack.OptionAPIURL(os.Getenv("PARLEY_API"))))
		e.hear("invalid_auth", func(d interface{}) bool { _, ok := d.(*slack.InvalidAuthEvent); return ok })
		<-e.ended
		return facts("is not tried again")
	})
}
