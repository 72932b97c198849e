import { RedisStore } from "connect-redis";
import express from "express";
import session from "express-session";
import { createClient } from "redis";

const client = createClient({ url: process.env.REDIS_URL });
client.on("error", console.error);

const app = express();
app.use(
  session({
    name: "sid",
    secret: process.env.SECRET,
    cookie: { maxAge: 30 * 60 * 1000, sameSite: "lax" },
    rolling: true,
    resave: false,
    saveUninitialized: false,
    store: new RedisStore({ client }),
  }),
);

app.use((req, res, next) => {
  if (req.path === "/sign-in") {
    const { visits } = req.session;
    req.session.regenerate((error) => {
      if (error) return next(error);
      req.session.user = "ada";
      req.session.visits = visits;
      next();
    });
  } else if (req.path === "/sign-out") {
    req.session.destroy((error) => (error ? next(error) : res.send("Bye\n")));
  } else {
    next();
  }
});

app.use((req, res) => {
  req.session.visits = (req.session.visits ?? 0) + 1;
  res.send(`${req.session.user ?? "stranger"}, visit ${req.session.visits}\n`);
});

void client.connect().then(() => app.listen(process.env.PORT ?? 3000));
