//! `ibouncer demo`: a simulated Gateway, a broker and three client processes, and what happens
//! when a handshake hangs.
//!
//! Everything is real: the broker and the clients are processes of this binary, the simulator
//! speaks Gateway's protocol on loopback. Nobody but this module knows that it is a demo. All
//! of it lives in a private folder and is gone afterwards.
//!
//! - [`cast`]: the processes.
//! - [`scene`]: what is known of them now, and the story so far.
//! - [`screen`]: the live picture in a terminal.

mod cast;
mod scene;
mod screen;

use std::time::Duration;

use ibouncer_gateway_sim::Fault;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, sleep_until};

use crate::args::Demo;
use crate::exit::{Complaint, Exit, Failure};
use crate::output::Output;
use crate::output::screen::{Key, Screen, key_of, size};

use cast::Cast;
use scene::Scene;

/// Without a terminal the demo ends by itself.
const PLAIN_PERIOD: Duration = Duration::from_secs(15);

/// Quotes flow for so long before the first hang.
const BEFORE_HANG: Duration = Duration::from_secs(3);

/// The live picture is drawn this often; a summary of quotes is a plain line this often.
const FRAME: Duration = Duration::from_millis(100);
const SUMMARY: Duration = Duration::from_secs(1);

pub(crate) fn run(order: &Demo, output: &mut Output) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|error| Complaint::internal("START", format!("cannot start: {error}")))?;
    runtime.block_on(play(order, output))
}

async fn play(order: &Demo, output: &mut Output) -> Result<Exit, Failure> {
    let live = Screen::is_wanted(output);
    let end = match order.period {
        Some(period) => Some(Instant::now() + period),
        None if live => None,
        None => Some(Instant::now() + PLAIN_PERIOD),
    };
    let failed = |error: anyhow::Error| Complaint::internal("DEMO", format!("{error:#}"));
    let mut cast = Cast::start().await.map_err(failed)?;
    let mut scene = Scene::new(&cast);
    let mut screen = if live { Some(Screen::open().map_err(Failure::from)?) } else { None };
    let shown = show(&mut cast, &mut scene, screen.as_mut(), output, end).await;
    drop(screen);
    cast.end().await;
    shown?;
    if output.json() {
        output.json_line(&scene.summary())?;
    } else {
        output.text(&scene.farewell())?;
    }
    Ok(if scene.is_good() { Exit::Good } else { Exit::NotReady })
}

async fn show(
    cast: &mut Cast,
    scene: &mut Scene,
    mut screen: Option<&mut Screen>,
    output: &mut Output,
    end: Option<Instant>,
) -> Result<(), Failure> {
    let mut stop = Stop::listen()?;
    let mut frames = tokio::time::interval(FRAME);
    let mut summary = Instant::now() + SUMMARY;
    let mut hang_at = None;
    let mut hung = false;
    loop {
        let hang = async {
            match hang_at {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        let over = async {
            match end {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            event = cast.next() => match event {
                Some(event) => {
                    scene.take(event);
                    if hang_at.is_none() && !hung && scene.all_quoting() {
                        hang_at = Some(Instant::now() + BEFORE_HANG);
                    }
                }
                None => return Ok(()),
            },
            () = hang => {
                hang_at = None;
                hung = true;
                make_it_hang(cast, scene).await;
            }
            key = key_of(screen.as_deref_mut()) => match key {
                Key::Letter('h') => make_it_hang(cast, scene).await,
                Key::Quit => return Ok(()),
                Key::Letter(_) | Key::Other => {}
            },
            _ = frames.tick() => {
                if let Some(screen) = screen.as_deref() {
                    // Seconds pass without a change, so the picture asks.
                    if let Some(status) = cast.status().await {
                        scene.status = Some(status);
                    }
                    screen.draw(&screen::lines(scene, size().1))?;
                } else if Instant::now() >= summary {
                    summary += SUMMARY;
                    scene.summarize();
                }
            }
            () = stop.wanted() => return Ok(()),
            () = over => return Ok(()),
        }
        if screen.is_none() {
            for line in scene.unprinted() {
                if output.json() {
                    output.json_line(&line.json())?;
                } else {
                    output.text(&line.to_string())?;
                }
            }
        }
    }
}

/// Signals that end the demo as `q` does, so that nothing is left behind.
struct Stop([Signal; 3]);

impl Stop {
    fn listen() -> std::io::Result<Self> {
        let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        let [interrupt, terminate, hangup] = kinds.map(signal);
        Ok(Self([interrupt?, terminate?, hangup?]))
    }

    async fn wanted(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

/// The session is ended, and the next connection is accepted and never answered.
async fn make_it_hang(cast: &Cast, scene: &mut Scene) {
    scene.tell("demo", "ends the session, and makes the next handshake hang".to_owned());
    cast.gateway().set_fault(Some(Fault::AcceptAndMute), Some(1)).await;
    if let Err(error) = cast.restart_worker().await {
        scene.tell("demo", format!("could not end the session: {error}"));
    }
}
