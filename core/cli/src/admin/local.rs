//! On the data directory itself, when no server uses it: the same server, for this process alone,
//! on nothing but the operator's socket.

use std::{sync::Arc, thread::JoinHandle};

use omnigent_server::{
    app::{App, Running},
    clock::Clock,
    config::Config,
};
use tokio::sync::oneshot;

use crate::failure::Failure;

/// A server that ends with this value.
pub(super) struct Local {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Local {
    /// Opens the data directory and answers on its socket.
    pub(super) fn start(config: Config) -> Result<Self, Failure> {
        let (stop, stopped) = oneshot::channel::<()>();
        let (say, hear) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let runtime = match tokio::runtime::Builder::new_multi_thread()
                .enable_all()
                .build()
            {
                Ok(runtime) => runtime,
                Err(error) => return drop(say.send(Err(Failure::Failed(error.to_string())))),
            };
            runtime.block_on(async {
                let opened = App::open(&config, config.server.listen, Clock::system()).await;
                let served = match opened.and_then(|app| Ok((app.operator_socket()?, app))) {
                    Ok((socket, app)) => {
                        let _ = say.send(Ok(()));
                        serve(app, socket, stopped).await
                    }
                    Err(error) => Err(error),
                };
                if let Err(error) = served {
                    let _ = say.send(Err(error.into()));
                }
            });
        });
        let local = Self {
            stop: Some(stop),
            thread: Some(thread),
        };
        hear.recv()
            .unwrap_or_else(|_| Err(Failure::Failed("the data directory did not open".into())))?;
        Ok(local)
    }
}

async fn serve(
    app: Arc<App>,
    socket: tokio::net::UnixListener,
    stopped: oneshot::Receiver<()>,
) -> Result<(), omnigent_server::app::StartError> {
    let stop = async {
        let _ = stopped.await;
    };
    let config = app.config.clone();
    let load = Box::new(move || Ok(config.clone()));
    Running::new(app, load)
        .serve(None, None, socket, stop)
        .await
}

impl Drop for Local {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
